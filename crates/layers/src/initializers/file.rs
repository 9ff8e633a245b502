//! Weights read from a NumPy file.
use super::{Initialize, Initializer};
use crate::{npy::read_npy, options, Result};
use std::{path::PathBuf, sync::Arc};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Takes the values of a weight from a NumPy file (`.npy`), e.g. pretrained embeddings.
    ///
    /// Shapes: that of the array in the file, which must be the shape asked for. float64 and int64 become 32 bits wide.
    /// The file is read when the layer is initialized; the random key is not used.
    /// Errors: `Io` when the file cannot be read or is no such file, `ShapeMismatch` when its array has another shape.
    pub struct InitializerFromFileOptions for "InitializerFromFile" ("path") {
        /// Path of the `.npy` file.
        path "path": String,
    }
}

#[derive(Debug)]
struct FromFile(PathBuf);

impl Initialize for FromFile {
    fn make(&self, shape: &[usize], _key: Key) -> Result<Tensor> {
        read_npy(&self.0, shape)
    }
    fn show(&self) -> String {
        format!("tl.InitializerFromFile('{}')", self.0.display())
    }
}

/// The values of a `.npy` file.
pub fn from_file(path: impl Into<PathBuf>) -> Initializer {
    Initializer(Arc::new(FromFile(path.into())))
}
