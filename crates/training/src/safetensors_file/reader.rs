//! Reading a safetensors file: the header first, then the tensors that are wanted, one after another.
use super::{
    contents::{Contents, TensorInfo, OURS},
    header::{Entry, Header, MAX_HEADER},
    sums,
};
use crate::{Error, Result};
use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};
use tallow_layers::{
    elements,
    files::{io_error, open_regular},
    ErrorKind, TensorSpec,
};
use tallow_tensor::{memory, DType, Element, Tensor};

/// Bytes of the number in front of the header.
const LENGTH: u64 = 8;
/// Bytes that are read together where nothing is made of them.
const PIECE: usize = 1 << 16;
const WRONG_SUM: &str = "it is damaged: the checksum of its bytes is wrong";

/// A file whose header was read and checked.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
    sums: Option<Vec<u32>>,
    /// Where the data begins.
    start: u64,
    /// Text that [`super::write`] was given.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Reader {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// `Io` naming the path, for a file that is missing, no regular file, truncated, or has a header that is damaged or does not
    /// add up. Nothing larger than the header is made.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (mut file, length) = open_regular(path)?;
        let bad = |why: &dyn std::fmt::Display| invalid(path, why);
        let mut number = [0; LENGTH as usize];
        file.read_exact(&mut number).map_err(|_| bad(&"it is too short"))?;
        let n = u64::from_le_bytes(number);
        if n > MAX_HEADER.min(length - LENGTH) {
            return Err(bad(&format!("a header of {n} bytes is longer than the file or {MAX_HEADER}")));
        }
        let mut json = memory::zeros::<u8>(n as usize)?;
        file.read_exact(&mut json).map_err(|e| io_error("read", path, &e))?;
        let mut header = Header::parse(&json, length - LENGTH - n).map_err(|e| bad(&e))?;
        let sums = sums::take(&mut header, &json, OURS).map_err(|e| bad(&e))?;
        let metadata = match header.metadata.get(OURS) {
            Some(json) => serde_json::from_str(json).map_err(|e| bad(&format!("its metadata is damaged: {e}")))?,
            None => BTreeMap::new(),
        };
        let Header { entries, .. } = header;
        Ok(Self { path: path.to_path_buf(), file, entries, sums, start: LENGTH + n, metadata })
    }
    /// The names of the tensors, in the order they are best read in.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| e.name.as_str())
    }
    /// What the `i`-th tensor will be.
    ///
    /// # Errors
    /// `Io` for elements of a type that has no counterpart.
    pub(crate) fn spec(&self, i: usize) -> Result<TensorSpec> {
        let entry = &self.entries[i];
        let dtype = dtype_of(&entry.kind).ok_or_else(|| {
            let Entry { name, kind, .. } = entry;
            let why = format!(
                "its elements have the type {kind}, which has no counterpart here; the file is valid, and \
                 loadSafetensors with `names` reads its other tensors"
            );
            io_error(&format!("read tensor {name} of"), &self.path, &why)
        })?;
        Ok(TensorSpec::new(entry.shape.clone(), dtype))
    }
    /// Refuses tensors that memory cannot hold together, before any is made.
    ///
    /// # Errors
    /// `OutOfMemory`; `Io` for elements of a type that has no counterpart.
    pub(crate) fn admit(&self, places: impl IntoIterator<Item = usize>) -> Result<()> {
        let mut bytes = 0usize;
        for i in places {
            let spec = self.spec(i)?;
            bytes = bytes.saturating_add(spec.shape.iter().product::<usize>().saturating_mul(spec.dtype.size()));
        }
        Ok(memory::admit_tensor(&[bytes], DType::U8)?)
    }
    /// The `i`-th tensor, whose checksum is checked if the file has any.
    ///
    /// # Errors
    /// `Io` naming the path and the tensor.
    pub(crate) fn tensor(&mut self, i: usize) -> Result<Tensor> {
        let spec = self.spec(i)?;
        let Entry { name, kind, begin, end, .. } = &self.entries[i];
        let fail = |why: &dyn std::fmt::Display| io_error(&format!("read tensor {name} of"), &self.path, why);
        self.file.seek(SeekFrom::Start(self.start + begin)).map_err(|e| fail(&e))?;
        let mut from = Summed { from: (&mut self.file).take(end - begin), sum: 0 };
        let tensor = read_elements(kind, &spec, &mut from).map_err(|e| fail(&e))?;
        match &self.sums {
            Some(sums) if sums[i] != from.sum => Err(fail(&WRONG_SUM)),
            _ => Ok(tensor),
        }
    }
    /// Reads everything, and checks every checksum. Only a piece of a tensor is in memory.
    ///
    /// # Errors
    /// `Io` naming the path and the tensor; `Io` for a file without checksums.
    pub(crate) fn verify(&mut self) -> Result<()> {
        let Some(sums) = &self.sums else {
            let why = "it has no checksums, so it cannot be told whether it is as it was written; files that are saved here have them";
            return Err(io_error("verify", &self.path, &why));
        };
        for (Entry { name, begin, end, .. }, sum) in self.entries.iter().zip(sums) {
            let fail = |why: &dyn std::fmt::Display| io_error(&format!("read tensor {name} of"), &self.path, why);
            self.file.seek(SeekFrom::Start(self.start + begin)).map_err(|e| fail(&e))?;
            let mut from = Summed { from: (&mut self.file).take(end - begin), sum: 0 };
            let read = std::io::copy(&mut BufReader::with_capacity(PIECE, &mut from), &mut std::io::sink());
            if read.map_err(|e| fail(&e))? != end - begin {
                return Err(fail(&"it ends early"));
            }
            if from.sum != *sum {
                return Err(fail(&WRONG_SUM));
            }
        }
        Ok(())
    }
    /// What the header says of the tensors.
    pub(crate) fn infos(&self) -> Vec<TensorInfo> {
        let info = |e: &Entry| TensorInfo {
            name: e.name.clone(),
            shape: e.shape.clone(),
            dtype: super::dtype_named(&e.kind).map_or(e.kind.clone(), |d| d.name().to_string()),
            bytes: e.end - e.begin,
        };
        self.entries.iter().map(info).collect()
    }
    /// All tensors, sorted by name.
    ///
    /// # Errors
    /// Those of [`Reader::tensor`].
    pub(crate) fn all(mut self) -> Result<Contents> {
        self.admit(0..self.entries.len())?;
        let mut out = (0..self.entries.len())
            .map(|i| Ok((self.entries[i].name.clone(), self.tensor(i)?)))
            .collect::<Result<Vec<_>>>()?;
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok((out, self.metadata))
    }
    /// The tensors of these names, in this order.
    ///
    /// # Errors
    /// `Io` for a name that the file has not; those of [`Reader::tensor`].
    pub(crate) fn named(&mut self, names: &[String]) -> Result<Vec<(String, Tensor)>> {
        let missing = |name: &str| io_error("read", &self.path, &format!("it has no tensor {name}"));
        let place = |name: &String| self.names().position(|n| n == name).ok_or_else(|| missing(name));
        let places = names.iter().map(place).collect::<Result<Vec<_>>>()?;
        self.admit(places.iter().copied())?;
        names.iter().zip(places).map(|(name, i)| Ok((name.clone(), self.tensor(i)?))).collect()
    }
    /// The error for content of the file that does not add up.
    pub(crate) fn damaged(&self, why: &dyn std::fmt::Display) -> Error {
        invalid(&self.path, why)
    }
}

fn invalid(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, format!("{} is no valid safetensors file: {why}", path.display()))
}

/// Reads, and adds up what was read.
struct Summed<R> {
    from: R,
    sum: u32,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let n = self.from.read(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes[..n]);
        Ok(n)
    }
}

/// The type that elements of a type in a file become: itself, or the narrowest that holds all its values.
fn dtype_of(kind: &str) -> Option<DType> {
    Some(match kind {
        "F32" | "F8_E4M3" | "F8_E5M2" => DType::F32,
        "F64" => DType::F64,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "I32" | "I8" | "I16" | "U16" => DType::I32,
        "I64" | "U64" => DType::I64,
        "U32" => DType::U32,
        "U8" => DType::U8,
        "BOOL" => DType::Bool,
        _ => return None,
    })
}

/// Reads the elements of a tensor, of a type as the format calls it.
///
/// # Errors
/// In words, where they end early or have no place in tensors.
pub(crate) fn read_elements(kind: &str, spec: &TensorSpec, r: &mut impl Read) -> std::result::Result<Tensor, String> {
    fn made<const N: usize, T: Element>(
        spec: &TensorSpec,
        r: &mut impl Read,
        convert: impl Fn([u8; N]) -> T,
    ) -> std::result::Result<Tensor, String> {
        let values = elements::read(r, spec.shape.iter().product(), convert)?;
        Tensor::from_vec(values, &spec.shape).map_err(|e| e.message().to_string())
    }
    match kind {
        "F32" => made(spec, r, f32::from_le_bytes),
        "F64" => made(spec, r, f64::from_le_bytes),
        "F16" => made(spec, r, half::f16::from_le_bytes),
        "BF16" => made(spec, r, half::bf16::from_le_bytes),
        "F8_E4M3" => made(spec, r, |[b]: [u8; 1]| e4m3(b)),
        // The upper half of a float16.
        "F8_E5M2" => made(spec, r, |[b]: [u8; 1]| half::f16::from_le_bytes([0, b]).to_f32()),
        "I8" => made(spec, r, |[b]: [u8; 1]| i32::from(b as i8)),
        "I16" => made(spec, r, |b| i32::from(i16::from_le_bytes(b))),
        "U16" => made(spec, r, |b| i32::from(u16::from_le_bytes(b))),
        "I32" => made(spec, r, i32::from_le_bytes),
        "I64" => made(spec, r, i64::from_le_bytes),
        "U64" => {
            let too_large = Cell::new(None);
            let made = made(spec, r, |b| {
                let value = u64::from_le_bytes(b);
                i64::try_from(value).unwrap_or_else(|_| {
                    too_large.set(Some(value));
                    0
                })
            })?;
            too_large.get().map_or(Ok(made), |v| Err(format!("{v} does not fit in int64")))
        }
        "U32" => made(spec, r, u32::from_le_bytes),
        "U8" => made(spec, r, |[b]: [u8; 1]| b),
        "BOOL" => {
            let bytes = made(spec, r, |[b]: [u8; 1]| u8::from(b != 0))?;
            bytes.cast(DType::Bool).map_err(|e| e.message().to_string())
        }
        _ => Err(format!("elements of type {kind} cannot be read")),
    }
}

/// An 8-bit float with 4 bits of exponent and 3 of mantissa: no infinities, and NaN where all bits are set.
fn e4m3(b: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(b >> 3 & 15), f32::from(b & 7));
    let size = match (exponent, b & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * (-9f32).exp2(),
        _ => (8.0 + mantissa) * ((exponent - 10) as f32).exp2(),
    };
    if b & 0x80 == 0 {
        size
    } else {
        -size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_floats_have_the_values_of_the_format() {
        // Table 1 of arXiv:2209.05433.
        let e4m3 = [0x7e, 0x08, 0x07, 0x01, 0x38, 0xb8, 0x00].map(e4m3);
        assert_eq!(e4m3, [448.0, 2f32.powi(-6), 0.875 * 2f32.powi(-6), 2f32.powi(-9), 1.0, -1.0, 0.0]);
        assert!(super::e4m3(0x7f).is_nan() && super::e4m3(0xff).is_nan());
        let spec = TensorSpec::new([6], DType::F32);
        let bytes = [0x7b, 0x04, 0x01, 0x3c, 0xfc, 0x7d];
        let t = read_elements("F8_E5M2", &spec, &mut &bytes[..]).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(t[..5], [57344.0, 2f32.powi(-14), 2f32.powi(-16), 1.0, f32::NEG_INFINITY]);
        assert!(t[5].is_nan());
    }
}
