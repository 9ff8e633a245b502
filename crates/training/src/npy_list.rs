//! Lists of arrays in one file, as Trax's `np_to_file` writes them: NumPy's `.npy` format, one after another, in gzip.
use crate::{budget::Budget, safetensors_file::TensorInfo, whole_file, Result};
use flate2::{bufread::MultiGzDecoder, write::GzEncoder, Compression};
use std::{
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};
use tallow_layers::{
    elements,
    files::{io_error, open_regular},
    npy::{header_of, next_array, next_header, Width},
    Error,
};
use tallow_tensor::Tensor;

/// Most arrays in a file. What they make of memory beside their numbers is bounded by this.
const MAX_ARRAYS: usize = 100_000;
/// What deflate can make of one byte at most; a file that claims more lies.
const MOST_FROM_A_BYTE: u64 = 1032;

/// The levels of compression, as Python's gzip has them.
fn checked(level: u32) -> Result<Compression> {
    if level > 9 {
        return Err(Error::option(format!("`compresslevel` must be a whole number from 0 to 9, got {level}")));
    }
    Ok(Compression::new(level))
}

/// Writes arrays to `path`, compressed by `level` (0: not at all, 9: most). Equal arrays give equal bytes; `path` always holds
/// the old or the new content, whole. bfloat16 is written as NumPy's `V2`.
///
/// # Errors
/// `InvalidOption` for a level beyond 9; `Io` naming the path, with the old file untouched.
pub fn np_to_file(arrays: &[Tensor], path: &Path, level: u32) -> Result<()> {
    let level = checked(level)?;
    let fail = |why: &dyn std::fmt::Display| io_error("write", path, why);
    if arrays.len() > MAX_ARRAYS {
        return Err(fail(&format!("{} arrays are more than {MAX_ARRAYS}", arrays.len())));
    }
    whole_file::write(path, |file| {
        let mut out = GzEncoder::new(BufWriter::new(file), level);
        for t in arrays {
            let header = header_of(t.dtype(), t.shape()).map_err(|e| fail(&e))?;
            out.write_all(&header).map_err(|e| fail(&e))?;
            elements::write(t, &mut |piece| out.write_all(piece).map_err(|e| fail(&e)))?;
        }
        out.finish().and_then(|mut buffered| buffered.flush()).map_err(|e| fail(&e))
    })
}

/// The arrays of a file that [`np_to_file`] or Trax wrote. `level` is checked and not needed.
///
/// # Errors
/// `InvalidOption` for a level beyond 9; `Io` naming the path, for a file that is missing, no gzip file, truncated or corrupt.
/// No array larger than what the file can hold is made.
pub fn np_from_file(path: &Path, level: u32) -> Result<Vec<Tensor>> {
    checked(level)?;
    arrays_in(path, Width::Kept, u64::MAX)
}

/// The arrays of a file, with numbers made as `width` says, from at most `most` bytes.
pub(crate) fn arrays_in(path: &Path, width: Width, most: u64) -> Result<Vec<Tensor>> {
    let fail = |why: &dyn std::fmt::Display| io_error("read", path, why);
    let (file, length) = open_regular(path)?;
    if length == 0 {
        return Err(fail(&"it is empty"));
    }
    let mut r = BufReader::new(Budget::new(MultiGzDecoder::new(BufReader::new(file)), most));
    let mut out = Vec::new();
    let at_most = length.saturating_mul(MOST_FROM_A_BYTE).min(most);
    while !r.fill_buf().map_err(|e| fail(&e))?.is_empty() {
        if out.len() == MAX_ARRAYS {
            return Err(fail(&format!("it holds more than {MAX_ARRAYS} arrays")));
        }
        let array = next_array(&mut r, at_most, width);
        out.push(array.map_err(|e| fail(&format!("array {}: {e}", out.len())))?);
    }
    Ok(out)
}

/// What the headers of the arrays in a file say, under their numbers. All of it is unpacked, as gzip has no directory; no array is made.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, no gzip file, truncated, or holds anything but arrays of plain numbers.
pub(crate) fn infos(path: &Path, width: Width) -> Result<Vec<TensorInfo>> {
    let fail = |why: &dyn std::fmt::Display| io_error("read", path, why);
    let (file, _) = open_regular(path)?;
    let mut r = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut out: Vec<TensorInfo> = Vec::new();
    while !r.fill_buf().map_err(|e| fail(&e))?.is_empty() {
        if out.len() == MAX_ARRAYS {
            return Err(fail(&format!("it holds more than {MAX_ARRAYS} arrays")));
        }
        let name = out.len().to_string();
        let said = next_header(&mut r, width).map_err(|e| fail(&format!("array {name}: {e}")))?;
        let passed = io::copy(&mut (&mut r).take(said.bytes), &mut io::sink()).map_err(|e| fail(&e))?;
        if passed != said.bytes {
            return Err(fail(&format!("array {name}: it ends early")));
        }
        out.push(TensorInfo { name, shape: said.shape, dtype: said.dtype, bytes: said.bytes });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallow_tensor::{DType, Device};

    fn arrays() -> Vec<Tensor> {
        let t = |v: Vec<f32>, s: &[usize]| Tensor::from_vec(v, s).unwrap();
        vec![
            t((0..600).map(|v| v as f32 / 7.0).collect(), &[20, 30]),
            t(vec![2.5], &[]),
            Tensor::zeros(&[0, 3], DType::I64, &Device::Cpu).unwrap(),
            t(vec![1.0, 0.0, 3.0], &[3]).cast(DType::Bool).unwrap(),
            t(vec![1.0, 1.5, 3.0], &[3]).cast(DType::BF16).unwrap(),
            t(vec![1.0, 1.1, 3.0], &[3]).cast(DType::F64).unwrap(),
        ]
    }

    #[test]
    fn what_is_written_is_read_at_every_level() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.npy.gz");
        for level in 0..=9 {
            np_to_file(&arrays(), &path, level).unwrap();
            let read = np_from_file(&path, level).unwrap();
            assert_eq!(read.len(), 6);
            for (a, b) in read.iter().zip(arrays()) {
                assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()));
                assert_eq!(a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
            }
        }
        np_to_file(&[], &path, 2).unwrap();
        assert!(np_from_file(&path, 2).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        assert_eq!(np_to_file(&[], &path, 10).unwrap_err().code(), "InvalidOption");
    }

    #[test]
    fn damage_anywhere_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.npy.gz");
        np_to_file(&arrays(), &path, 6).unwrap();
        let good = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let e = np_from_file(&path, 6).unwrap_err();
            assert_eq!(e.code(), "Io");
            assert!(e.message().contains("weights.npy.gz"), "{}", e.message());
        };
        for end in [1, 9, 10, good.len() / 2, good.len() - 9, good.len() - 1] {
            refused(&good[..end]);
        }
        for at in [0, 2, 40, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            refused(&bad);
        }
        let gzip = |data: &[u8]| {
            let mut out = GzEncoder::new(Vec::new(), Compression::fast());
            out.write_all(data).unwrap();
            out.finish().unwrap()
        };
        refused(b"");
        refused(&gzip(b"no array"));
        refused(&gzip(&header_of(DType::F32, &[1 << 40]).unwrap()));
        refused(&gzip(&header_of(DType::F32, &[usize::MAX, 16]).unwrap()));
        refused(&gzip(&header_of(DType::F32, &[100]).unwrap()));
        assert_eq!(np_from_file(&folder.path().join("absent"), 6).unwrap_err().code(), "Io");
    }
}
