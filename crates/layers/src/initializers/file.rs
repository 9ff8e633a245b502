//! Weights read from a NumPy file.
use super::{Initialize, Initializer};
use crate::{npy::read_npy, options, Result};
use std::{path::PathBuf, sync::Arc};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Reads the values of a weight from a NumPy file (`.npy`), such as embeddings trained before.
    ///
    /// The file is read when the layer is initialized. The random key is not used. Values of float64 and int64 become 32 bits wide.
    ///
    /// Formula: none: the array in the file, whose shape must be that of the weight.
    /// Errors:
    /// - `Io`: the file cannot be read, or is not a NumPy file.
    /// - `ShapeMismatch`: the array has another shape than the weight.
    ///
    /// Source: Trax.
    /// See: `RandomNormalInitializer`.
    /// Example:
    /// ```ts
    /// const layer = tl.Embedding(1000, 16, { kernelInitializer: tl.InitializerFromFile('embeddings.npy') });
    /// ```
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
