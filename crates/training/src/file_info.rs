//! Files of tensors of any kind: what they hold, and their tensors by name. A file is told by how it begins, not by what it is called.
use crate::{
    checkpoint_info::checkpoint_info,
    layer_file::signature_in,
    npy_list,
    npz::{self, load_npz},
    safetensors_file::{self, Reader, TensorInfo},
    trax_file, Result,
};
use flate2::bufread::MultiGzDecoder;
use std::{
    io::{BufReader, Read},
    path::Path,
};
use tallow_layers::{
    files::{io_error, open_regular},
    npy::{file_header, whole_array, Width},
    TensorSpec,
};
use tallow_tensor::{memory, DType, Tensor};

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// The safetensors format.
    Safetensors,
    /// One array of NumPy.
    Npy,
    /// NumPy's archive of named arrays.
    Npz,
    /// NumPy's arrays one after another, in gzip, as Trax writes weights.
    NpyList,
    /// A checkpoint of Trax: a pickle in gzip.
    Trax,
}

impl FileFormat {
    /// What it is called: how such files end.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::NpyList => "npy.gz",
            Self::Trax => "pkl.gz",
        }
    }
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FileInfo {
    /// What kind of file it is.
    pub format: FileFormat,
    /// Number of the next step, if a trainer wrote it; that of steps done, if Trax did.
    pub step: Option<u64>,
    /// The notes that were saved with it, as JSON.
    pub notes: Option<String>,
    /// The signature of the inputs that the layer in it is for, if it says so.
    pub signature: Option<Vec<TensorSpec>>,
    /// Its tensors, sorted by name where they have names, else in their order.
    pub tensors: Vec<TensorInfo>,
}

/// How arrays of NumPy, archives and pickles begin.
const NPY: &[u8] = b"\x93NUMPY";
const ZIP: &[u8] = b"PK";
const PICKLE: &[u8] = b"\x80";

/// Tells what kind of file it is.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, no regular file, empty, or of no such kind.
pub fn file_format(path: &Path) -> Result<FileFormat> {
    let fail = |why: &dyn std::fmt::Display| io_error("read", path, why);
    let start = |r: &mut dyn Read| -> std::io::Result<Vec<u8>> {
        let mut start = Vec::new();
        r.take(9).read_to_end(&mut start)?;
        Ok(start)
    };
    let (mut file, length) = open_regular(path)?;
    if length == 0 {
        return Err(fail(&"it is empty"));
    }
    let begins = start(&mut file).map_err(|e| fail(&e))?;
    if trax_file::is_gzip(&begins) {
        let (file, _) = open_regular(path)?;
        let inner = start(&mut MultiGzDecoder::new(BufReader::new(file))).map_err(|e| fail(&e))?;
        return match inner {
            inner if inner.starts_with(NPY) => Ok(FileFormat::NpyList),
            inner if inner.starts_with(PICKLE) => Ok(FileFormat::Trax),
            _ => Err(fail(&"it is gzip around something else than arrays of NumPy or a checkpoint of Trax")),
        };
    }
    match begins {
        begins if begins.starts_with(NPY) => Ok(FileFormat::Npy),
        begins if begins.starts_with(ZIP) => Ok(FileFormat::Npz),
        begins if begins.get(8) == Some(&b'{') => Ok(FileFormat::Safetensors),
        _ => Err(fail(
            &"it is no file of tensors that is known here: safetensors, NumPy's .npy and .npz, Trax's .pkl.gz and .npy.gz",
        )),
    }
}

/// What a file says of itself. Headers alone are read, of files of gzip all of it; no tensor is made.
///
/// # Errors
/// Those of [`file_format`]; `Io` naming the path, for a file that is truncated, or has headers that are damaged.
pub fn file_info(path: &Path) -> Result<FileInfo> {
    let format = file_format(path)?;
    let bare = |tensors| FileInfo { format, step: None, notes: None, signature: None, tensors };
    Ok(match format {
        FileFormat::Safetensors => {
            let info = checkpoint_info(path)?;
            let signature = signature_in(&Reader::open(path)?)?;
            FileInfo { format, step: info.step, notes: info.notes, signature, tensors: info.tensors }
        }
        FileFormat::Npy => {
            let (file, length) = open_regular(path)?;
            let said = file_header(&mut BufReader::new(file), length).map_err(|e| io_error("read", path, &e))?;
            let info = TensorInfo { name: stem(path), shape: said.shape, dtype: said.dtype, bytes: said.bytes };
            bare(vec![info])
        }
        FileFormat::Npz => {
            let mut tensors = npz::infos(path)?;
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
            bare(tensors)
        }
        FileFormat::NpyList => bare(npy_list::infos(path, Width::Kept)?),
        FileFormat::Trax => {
            let info = trax_file::info(path)?;
            FileInfo { format, step: info.step, notes: None, signature: info.signature, tensors: info.tensors }
        }
    })
}

/// The tensors of a file under the names that [`file_info`] tells; of a checkpoint of Trax its weights and its state.
///
/// # Errors
/// Those of [`file_info`]; `OutOfMemory` for tensors that memory cannot hold together.
pub fn load_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    match file_format(path)? {
        FileFormat::Safetensors => Ok(safetensors_file::read(path)?.0),
        FileFormat::Npz => load_npz(path),
        FileFormat::Npy => {
            let fail = |why: String| io_error("read", path, &why);
            let (file, length) = open_regular(path)?;
            memory::admit_tensor(&[usize::try_from(length).unwrap_or(usize::MAX)], DType::U8)?;
            let array = whole_array(&mut BufReader::new(file), length, Width::Kept).map_err(fail)?;
            Ok(vec![(stem(path), array)])
        }
        FileFormat::NpyList => {
            let arrays = npy_list::arrays_in(path, Width::Kept, tallow_tensor::memory_limit() as u64)?;
            Ok(arrays.into_iter().enumerate().map(|(i, t)| (i.to_string(), t)).collect())
        }
        FileFormat::Trax => trax_file::arrays_of(path),
    }
}

/// The name of a file without its ending.
fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}
