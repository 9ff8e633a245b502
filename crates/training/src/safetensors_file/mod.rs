//! safetensors files: written whole or not at all, tensor by tensor, read with their header and checksums checked.
mod contents;
mod header;
mod reader;
mod sums;

pub use contents::{Contents, TensorInfo};
pub(crate) use reader::{read_elements, Reader};

use crate::{whole_file, Error, Result};
use contents::OURS;
use header::{MAX_HEADER, MAX_TENSORS, METADATA};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashSet},
    io::{Seek, SeekFrom, Write},
    path::Path,
};
use tallow_layers::{elements, files::io_error};
use tallow_tensor::{DType, Tensor};

/// The format's name of a type.
pub(crate) fn element_kind(d: DType) -> &'static str {
    match d {
        DType::F32 => "F32",
        DType::F64 => "F64",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I32 => "I32",
        DType::I64 => "I64",
        DType::U32 => "U32",
        DType::U8 => "U8",
        DType::Bool => "BOOL",
    }
}

/// The type of which this is the format's name.
fn dtype_named(name: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|d| element_kind(*d) == name)
}

/// Writes named tensors and text metadata to `path`, with checksums of all of it. Equal content gives equal bytes.
///
/// `path` always holds the old or the new content, whole. Besides the tensors only a piece of one is in memory.
///
/// # Errors
/// `Io` naming the path, with the old file untouched; `InvalidOption` for names that a file cannot have.
pub fn write(path: &Path, tensors: &[(String, Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    write_signed(path, tensors, &HashSet::new(), metadata)
}

/// [`write`], with the bytes of the uint8 tensors of these names as `I8`.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_signed(
    path: &Path,
    tensors: &[(String, Tensor)],
    signed: &HashSet<String>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let fail = |why: &dyn std::fmt::Display| io_error("write", path, why);
    if tensors.len() > MAX_TENSORS {
        return Err(fail(&format!("{} tensors are more than {MAX_TENSORS}", tensors.len())));
    }
    let mut sorted: Vec<&(String, Tensor)> = tensors.iter().collect();
    // The widest types first, so that elements lie at multiples of their size.
    sorted.sort_by(|(a_name, a), (b_name, b)| (b.dtype().size(), a_name).cmp(&(a.dtype().size(), b_name)));
    let mut header = header_of(&sorted, signed, metadata)?;
    if header.len() as u64 > MAX_HEADER {
        return Err(fail(&format!("its header of {} bytes would be longer than {MAX_HEADER}", header.len())));
    }
    whole_file::write(path, |file| {
        let start = 8 + header.len() as u64;
        file.seek(SeekFrom::Start(start)).map_err(|e| fail(&e))?;
        let mut sums = Vec::with_capacity(sorted.len());
        for (_, t) in sorted {
            let mut sum = 0;
            elements::write(t, &mut |piece| {
                sum = crc32c::crc32c_append(sum, piece);
                file.write_all(piece).map_err(|e| fail(&e))
            })?;
            sums.push(sum);
        }
        sums::fill(&mut header, &sums);
        let length = (header.len() as u64).to_le_bytes();
        file.rewind()
            .and_then(|()| file.write_all(&length))
            .and_then(|()| file.write_all(&header))
            .map_err(|e| fail(&e))
    })
}

/// The JSON of a header, with room for the checksums, padded so that the data begins at a multiple of 8 bytes.
fn header_of(
    tensors: &[&(String, Tensor)],
    signed: &HashSet<String>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let texts = json!({ OURS: json!(metadata).to_string(), sums::KEY: sums::blank(tensors.len()) });
    let mut out = format!("{{\"{METADATA}\":{texts}");
    let mut at = 0;
    let mut names = HashSet::with_capacity(tensors.len());
    for (name, t) in tensors {
        if name == METADATA || !names.insert(name) {
            let why = if name == METADATA { "stands for the metadata of a file" } else { "is given twice" };
            return Err(Error::option(format!("a tensor cannot be saved under the name {name}, which {why}")));
        }
        let end = at + t.size() * t.dtype().size();
        let dtype = if signed.contains(name) { "I8" } else { element_kind(t.dtype()) };
        let info = json!({ "dtype": dtype, "shape": t.shape(), "data_offsets": [at, end] });
        out.push_str(&format!(",{}:{info}", json!(name)));
        at = end;
    }
    out.push('}');
    out.push_str(&" ".repeat(out.len().next_multiple_of(8) - out.len()));
    Ok(out.into_bytes())
}

/// Named tensors and text metadata of a file. Elements of a type that tensors do not have become ones of a type that holds them:
/// `I8`, `I16` and `U16` int32, `U64` int64, `F8_E4M3` and `F8_E5M2` float32.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, no regular file, truncated or corrupt, or has elements that no type holds.
pub fn read(path: &Path) -> Result<Contents> {
    Reader::open(path)?.all()
}

/// The tensors of these names, in this order, as [`read`] reads them; the others are passed over.
///
/// # Errors
/// Those of [`read`]; `Io` for a name that the file has not.
pub fn read_named(path: &Path, names: &[String]) -> Result<Vec<(String, Tensor)>> {
    Reader::open(path)?.named(names)
}
