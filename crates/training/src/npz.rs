//! Arrays by name in one file, as NumPy's `savez` writes them: a zip archive of `.npy` files (`.npz`).
use crate::{safetensors_file::TensorInfo, whole_file, Result};
use flate2::{bufread::DeflateDecoder, CrcReader};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};
use tallow_layers::{
    elements,
    files::{io_error, open_regular},
    npy::{file_header, header_of, whole_array, Width},
};
use tallow_tensor::{memory, DType, Tensor};
use zip::{write::SimpleFileOptions, CompressionMethod, ZipArchive, ZipWriter};

/// How the name of an array's file ends.
const ENDING: &str = ".npy";
/// Most arrays in a file. What they make of memory beside their numbers is bounded by this.
const MAX_ARRAYS: usize = 100_000;
/// What deflate can make of one byte at most; an entry that claims more lies.
const MOST_FROM_A_BYTE: u64 = 1032;

/// Writes arrays to `path` under their names, not compressed. Equal arrays give equal bytes; `path` always holds the old or the new
/// content, whole. bfloat16 is written as NumPy's `V2`.
///
/// # Errors
/// `Io` naming the path, with the old file untouched.
pub fn save_npz(path: &Path, arrays: &[(String, Tensor)]) -> Result<()> {
    let fail = |why: &dyn std::fmt::Display| io_error("write", path, why);
    if arrays.len() > MAX_ARRAYS {
        return Err(fail(&format!("{} arrays are more than {MAX_ARRAYS}", arrays.len())));
    }
    whole_file::write(path, |file| {
        let mut out = ZipWriter::new(BufWriter::new(FailsOnce::new(file)));
        for (name, t) in arrays {
            let header = header_of(t.dtype(), t.shape()).map_err(|e| fail(&e))?;
            let bytes = header.len() as u64 + (t.size() * t.dtype().size()) as u64;
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(bytes >= u64::from(u32::MAX));
            out.start_file(format!("{name}{ENDING}"), options).map_err(|e| fail(&format!("array {name}: {e}")))?;
            out.write_all(&header).map_err(|e| fail(&e))?;
            elements::write(t, &mut |piece| out.write_all(piece).map_err(|e| fail(&e)))?;
        }
        out.finish().map_err(|e| fail(&e))?.flush().map_err(|e| fail(&e))
    })
}

/// A file whose first error is told, and no other: an archive that could not be written is finished when it is dropped, and would tell on
/// standard error that this failed too. So it takes all that comes behind the error as if there were room.
struct FailsOnce<W> {
    to: W,
    failed: bool,
    at: u64,
    end: u64,
}

impl<W> FailsOnce<W> {
    fn new(to: W) -> Self {
        Self { to, failed: false, at: 0, end: 0 }
    }
    fn noted<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        // Who is interrupted tries again.
        self.failed |= done.as_ref().is_err_and(|e| e.kind() != std::io::ErrorKind::Interrupted);
        done
    }
    fn moved(&mut self, at: u64) -> u64 {
        self.at = at;
        self.end = self.end.max(at);
        at
    }
}

impl<W: Write> Write for FailsOnce<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = if self.failed { Ok(bytes.len()) } else { self.to.write(bytes) };
        let n = self.noted(done)?;
        self.moved(self.at + n as u64);
        Ok(n)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        let done = if self.failed { Ok(()) } else { self.to.flush() };
        self.noted(done)
    }
}

impl<W: Seek> Seek for FailsOnce<W> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let done = match to {
            _ if !self.failed => self.to.seek(to),
            SeekFrom::Start(at) => Ok(at),
            SeekFrom::Current(by) => Ok(self.at.saturating_add_signed(by)),
            SeekFrom::End(by) => Ok(self.end.saturating_add_signed(by)),
        };
        self.noted(done).map(|at| self.moved(at))
    }
}

/// What the directory of an archive says of an array.
struct Entry {
    name: String,
    deflated: bool,
    size: u64,
    sum: u32,
}

/// The arrays of a file that [`save_npz`] or NumPy wrote, compressed or not, in the order they stand in.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, no such archive, truncated or corrupt, or has a name twice or anything but arrays of
/// numbers; all but wrong numbers before anything is made. `OutOfMemory` for arrays that memory cannot hold together.
pub fn load_npz(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let fail = |why: &dyn std::fmt::Display| io_error("read", path, why);
    let (mut archive, entries) = opened(path)?;
    let bytes = entries.iter().fold(0, |sum: u64, e| sum.saturating_add(e.size));
    memory::admit_tensor(&[usize::try_from(bytes).unwrap_or(usize::MAX)], DType::U8)?;
    let mut out = Vec::with_capacity(entries.len()); // few: at most MAX_ARRAYS
    for (i, entry) in entries.into_iter().enumerate() {
        let array = array(&mut archive, i, &entry).map_err(|e| fail(&format!("array {}: {e}", entry.name)))?;
        out.push((entry.name, array));
    }
    Ok(out)
}

/// What the headers of the arrays in a file say; of the arrays nothing else is read.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, no such archive, truncated, or holds anything but arrays of plain numbers.
pub(crate) fn infos(path: &Path) -> Result<Vec<TensorInfo>> {
    let (mut archive, entries) = opened(path)?;
    let info = |(i, entry): (usize, Entry)| {
        let said = unpacked(&mut archive, i, &entry).and_then(|mut from| file_header(&mut from, entry.size));
        let said = said.map_err(|e| io_error("read", path, &format!("array {}: {e}", entry.name)))?;
        Ok(TensorInfo { name: entry.name, shape: said.shape, dtype: said.dtype, bytes: said.bytes })
    };
    entries.into_iter().enumerate().map(info).collect()
}

/// An archive, and what its directory says.
fn opened(path: &Path) -> Result<(ZipArchive<BufReader<File>>, Vec<Entry>)> {
    let fail = |why: &dyn std::fmt::Display| io_error("read", path, why);
    let (file, _) = open_regular(path)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| fail(&format!("it is no zip archive: {e}")))?;
    let entries = entries(&mut archive).map_err(|e| fail(&e))?;
    Ok((archive, entries))
}

/// The entries of an archive, which hold no more than they can.
fn entries(archive: &mut ZipArchive<BufReader<File>>) -> std::result::Result<Vec<Entry>, String> {
    if archive.len() > MAX_ARRAYS {
        return Err(format!("it holds more than {MAX_ARRAYS} arrays"));
    }
    if archive.has_duplicate_names() {
        return Err("it has two arrays of one name".into());
    }
    if archive.has_overlapping_entries().map_err(|e| e.to_string())? {
        return Err("it is damaged: its arrays overlap".into());
    }
    let count = archive.len();
    let entry = |i| {
        let file = archive.by_index_raw(i).map_err(|e| e.to_string())?;
        let full = file.name().map_err(|e| e.to_string())?.into_owned();
        let name = full
            .strip_suffix(ENDING)
            .ok_or_else(|| format!("{full} in it is no array: its name does not end in {ENDING}"))?;
        let (size, packed) = (file.size(), file.compressed_size());
        let (deflated, most) = match file.compression() {
            CompressionMethod::Stored => (false, packed),
            CompressionMethod::DEFLATE => (true, packed.saturating_mul(MOST_FROM_A_BYTE)),
            other => return Err(format!("array {name} is compressed by {other}, and only deflate can be read")),
        };
        if file.encrypted() {
            return Err(format!("array {name} is encrypted"));
        }
        if size > most {
            return Err(format!("array {name}: {packed} bytes cannot unpack to {size}"));
        }
        Ok(Entry { name: name.to_string(), deflated, size, sum: file.crc32() })
    };
    (0..count).map(entry).collect()
}

/// The bytes of an entry.
fn unpacked<'a>(
    archive: &'a mut ZipArchive<BufReader<File>>,
    i: usize,
    entry: &Entry,
) -> std::result::Result<Box<dyn Read + 'a>, String> {
    let packed = BufReader::new(archive.by_index_raw(i).map_err(|e| e.to_string())?);
    Ok(if entry.deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) })
}

fn array(archive: &mut ZipArchive<BufReader<File>>, i: usize, entry: &Entry) -> std::result::Result<Tensor, String> {
    let mut from = CrcReader::new(unpacked(archive, i, entry)?);
    let array = whole_array(&mut from, entry.size, Width::Kept)?;
    if from.read(&mut [0]).map_err(|e| e.to_string())? > 0 {
        return Err(format!("it is damaged: it unpacks to more than {} bytes", entry.size));
    }
    if from.crc().sum() != entry.sum {
        return Err("it is damaged: its checksum is wrong".into());
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    /// A disk with room for so many bytes, which is interrupted first.
    struct Small {
        left: usize,
        interrupted: bool,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if !std::mem::replace(&mut self.interrupted, true) {
                return Err(ErrorKind::Interrupted.into());
            }
            self.left = self.left.checked_sub(bytes.len()).ok_or_else(|| Error::from(ErrorKind::StorageFull))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_file_fails_once_and_not_when_it_is_interrupted() {
        let mut file = FailsOnce::new(Small { left: 4, interrupted: false });
        file.write_all(b"four").expect("there is room, behind an interruption");
        assert_eq!(file.to.left, 0);
        assert_eq!(file.write_all(b"more").unwrap_err().kind(), ErrorKind::StorageFull);
        file.write_all(b"the end of an archive").expect("nobody wants to hear it again");
        file.flush().expect("nor this");
        assert_eq!(file.at, 4 + 21, "as if it were written");
    }
}
