//! NumPy's array file format (`.npy`), versions 1 to 3: one array of numbers. Nothing in a file is executed or trusted.
use crate::{
    elements,
    files::{io_error, open_regular},
    Error, Result,
};
use std::{
    cell::RefCell,
    io::{BufReader, Read},
    path::Path,
};
use tallow_tensor::{element_count, memory::admit_tensor, DType, Element, Tensor};

/// Longest header accepted; NumPy itself refuses headers beyond 10000 characters.
const MAX_HEADER: usize = 1 << 16;
const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// Magic and version.
const START: usize = 8;

/// The array of a `.npy` file, on the CPU, which must have the shape `wanted`. float64 and int64 are narrowed to 32 bits, as JAX
/// narrows them.
///
/// # Errors
/// `Io` when the file cannot be read, is no `.npy` file, is shorter or longer than its header says, or holds something else
/// than booleans, 8-bit unsigned or 32/64-bit integers, or floats; `ShapeMismatch` for another shape. All but wrong numbers is said
/// before anything is made; `OutOfMemory` for an array that memory cannot hold.
pub fn read_npy(path: &Path, wanted: &[usize]) -> Result<Tensor> {
    let fail = |why: String| io_error("read", path, &why);
    let (file, length) = open_regular(path)?;
    let mut from = BufReader::new(file);
    let header = Header::of_file(&mut from, length).map_err(fail)?;
    if header.shape != wanted {
        return Err(Error::shape(format!(
            "{} holds an array of shape {:?} where {wanted:?} was asked for",
            path.display(),
            header.shape
        )));
    }
    admit_tensor(&header.shape, DType::F32)?;
    header.tensor(&mut from, Width::Narrow).map_err(fail)
}

/// What becomes of 64-bit numbers, and of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// They become 32 bits wide, as in JAX.
    Narrow,
    /// They stay, as in NumPy.
    Kept,
    /// They become 32 bits wide, and uint16 holds the bits of bfloat16, as in checkpoints of Trax.
    Trax,
}

/// The next array of a stream of them, which holds at most `at_most` bytes from here on. bfloat16 is what NumPy calls `V2`.
///
/// # Errors
/// In words, when it is no array, or ends early. Nothing larger than what the stream holds is allocated.
pub fn next_array(r: &mut impl Read, at_most: u64, width: Width) -> std::result::Result<Tensor, String> {
    let header = Header::read(r)?;
    if header.bytes()? > at_most {
        return Err(format!("an array of shape {:?} is more than the file can hold", header.shape));
    }
    header.tensor(r, width)
}

/// The array that a file of `length` bytes is.
///
/// # Errors
/// In words, when it is no array, or one of another length. Nothing larger than the file is made.
pub fn whole_array(r: &mut impl Read, length: u64, width: Width) -> std::result::Result<Tensor, String> {
    Header::of_file(r, length)?.tensor(r, width)
}

/// What the header of an array says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its shape.
    pub shape: Vec<usize>,
    /// The type of its elements by NumPy's name, also where tensors have none such.
    pub dtype: String,
    /// Bytes of its elements.
    pub bytes: u64,
}

/// What the header of the next array of a stream says, which is read up to its elements.
///
/// # Errors
/// In words, when it is no array of plain numbers.
pub fn next_header(r: &mut impl Read, width: Width) -> std::result::Result<Described, String> {
    Header::read(r)?.described(width)
}

/// What the header of a file of `length` bytes says, of which nothing else is read.
///
/// # Errors
/// In words, when it is no array of plain numbers, or one of another length.
pub fn file_header(r: &mut impl Read, length: u64) -> std::result::Result<Described, String> {
    Header::of_file(r, length)?.described(Width::Kept)
}

/// What is said of an array by NumPy's code of its type, such as `<f4`, and its shape.
///
/// # Errors
/// In words, for a code that is none, or a shape of too many elements.
pub fn describe(code: &str, shape: Vec<usize>, width: Width) -> std::result::Result<Described, String> {
    let (kind, size, big) = type_of(code)?;
    Header { kind, size, big, fortran: false, shape, length: 0 }.described(width)
}

/// The array of which `bytes` are the elements, `held` bytes in all: `code` is NumPy's for their type, such as `<f4`.
///
/// # Errors
/// In words, for a type that has no counterpart, or a number of bytes that is not that of the shape.
pub fn array(
    code: &str,
    fortran: bool,
    shape: Vec<usize>,
    bytes: &mut impl Read,
    held: u64,
    width: Width,
) -> std::result::Result<Tensor, String> {
    let (kind, size, big) = type_of(code)?;
    let header = Header { kind, size, big, fortran, shape, length: 0 };
    header.needs(held)?;
    header.tensor(bytes, width)
}

/// Kind of number, its bytes, and whether the first of them counts most.
fn type_of(code: &str) -> std::result::Result<(char, usize, bool), String> {
    let unknown = || format!("numbers of type '{code}' cannot be read");
    let mut chars = code.chars();
    let (order, kind) = (chars.next(), chars.next());
    let size = chars.as_str().parse().map_err(|_| unknown())?;
    let big = match order {
        Some('<' | '|' | '=') => false,
        Some('>') => true,
        _ => return Err(unknown()),
    };
    Ok((kind.unwrap_or(' '), size, big))
}

/// The header of an array: a dictionary padded so that the data begins at a multiple of 64 bytes.
///
/// # Errors
/// In words, for a shape whose header would be longer than version 1 allows.
pub fn header_of(dtype: DType, shape: &[usize]) -> std::result::Result<Vec<u8>, String> {
    let descr = match dtype {
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::F16 => "<f2",
        DType::BF16 => "|V2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::U32 => "<u4",
        DType::U8 => "|u1",
        DType::Bool => "|b1",
    };
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let sizes = sizes.join(", ") + comma;
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let length = (START + 2 + text.len() + 1).next_multiple_of(64);
    text.extend(std::iter::repeat_n(' ', length - START - 2 - text.len() - 1));
    text.push('\n');
    let size = u16::try_from(text.len()).map_err(|_| format!("{} axes are too many", shape.len()))?;
    Ok([&MAGIC[..], &[1, 0], &size.to_le_bytes(), text.as_bytes()].concat())
}

#[derive(Debug, PartialEq)]
struct Header {
    kind: char,
    size: usize,
    big: bool,
    fortran: bool,
    shape: Vec<usize>,
    /// Bytes up to the data.
    length: u64,
}

impl Header {
    fn read(r: &mut impl Read) -> std::result::Result<Self, String> {
        let mut start = [0u8; START];
        r.read_exact(&mut start).map_err(|_| "it is too short for a .npy file".to_string())?;
        if start[..6] != MAGIC {
            return Err("it does not start as a .npy file does".into());
        }
        let width = match start[6] {
            1 => 2usize,
            2 | 3 => 4,
            v => return Err(format!("version {v} of the .npy format is not known")),
        };
        let truncated = |_| "truncated header".to_string();
        let mut size = [0u8; 4];
        r.read_exact(&mut size[..width]).map_err(truncated)?;
        let size = u32::from_le_bytes(size) as usize;
        if size > MAX_HEADER {
            return Err(format!("its header of {size} bytes is longer than {MAX_HEADER}"));
        }
        let mut header = vec![0u8; size]; // few: at most MAX_HEADER
        r.read_exact(&mut header).map_err(truncated)?;
        let header = String::from_utf8(header).map_err(|_| "its header is no text".to_string())?;
        Ok(Self { length: (START + width + size) as u64, ..Self::parse(&header)? })
    }
    fn described(self, width: Width) -> std::result::Result<Described, String> {
        let bits = 8 * self.size;
        let dtype = match (self.kind, self.size) {
            ('b', 1) => "bool".to_string(),
            ('V', 2) => "bfloat16".to_string(),
            ('u', 2) if width == Width::Trax => "bfloat16".to_string(),
            ('f', _) => format!("float{bits}"),
            ('i', _) => format!("int{bits}"),
            ('u', _) => format!("uint{bits}"),
            ('c', _) => format!("complex{bits}"),
            (kind, size) => format!("{kind}{size}"),
        };
        Ok(Described { bytes: self.bytes()?, shape: self.shape, dtype })
    }
    /// Bytes of data.
    fn bytes(&self) -> std::result::Result<u64, String> {
        let count = element_count(&self.shape).map_err(|e| e.message().to_string())?;
        (count as u64).checked_mul(self.size as u64).ok_or_else(|| "its shape has too many elements".to_string())
    }
    /// The header of a file of `length` bytes.
    fn of_file(r: &mut impl Read, length: u64) -> std::result::Result<Self, String> {
        let header = Self::read(r)?;
        header.needs(length.saturating_sub(header.length))?;
        Ok(header)
    }
    /// Refuses another number of bytes of data than the shape needs.
    fn needs(&self, held: u64) -> std::result::Result<(), String> {
        match self.bytes()? {
            expected if expected == held => Ok(()),
            expected => Err(format!("shape {:?} needs {expected} bytes of data, it has {held}", self.shape)),
        }
    }
    fn tensor(&self, r: &mut impl Read, width: Width) -> std::result::Result<Tensor, String> {
        let narrow = width != Width::Kept;
        match (self.kind, self.size) {
            ('f', 4) => self.made(r, f32::from_le_bytes),
            ('f', 8) if narrow => self.made(r, |b| f64::from_le_bytes(b) as f32),
            ('f', 8) => self.made(r, f64::from_le_bytes),
            ('f', 2) => self.made(r, |b| half::f16::from_bits(u16::from_le_bytes(b))),
            ('u', 2) if width == Width::Trax => self.made(r, |b| half::bf16::from_bits(u16::from_le_bytes(b))),
            ('V', 2) => self.made(r, |b| half::bf16::from_bits(u16::from_le_bytes(b))),
            ('i', 4) => self.made(r, i32::from_le_bytes),
            ('i', 8) if narrow => self.made_if(r, "int32", |b| {
                let wide = i64::from_le_bytes(b);
                i32::try_from(wide).map_err(|_| wide.to_string())
            }),
            ('i', 8) => self.made(r, i64::from_le_bytes),
            // As in other files, types that tensors lack become the narrowest that holds their values.
            ('i', 1) if !narrow => self.made(r, |[b]: [u8; 1]| i32::from(b as i8)),
            ('i', 2) if !narrow => self.made(r, |b| i32::from(i16::from_le_bytes(b))),
            ('u', 2) if !narrow => self.made(r, |b| i32::from(u16::from_le_bytes(b))),
            ('u', 8) if !narrow => self.made_if(r, "int64", |b| {
                let wide = u64::from_le_bytes(b);
                i64::try_from(wide).map_err(|_| wide.to_string())
            }),
            ('u', 4) => self.made(r, u32::from_le_bytes),
            ('u', 1) => self.made(r, |[b]: [u8; 1]| b),
            ('b', 1) => {
                let made = self.made(r, |[b]: [u8; 1]| u8::from(b != 0))?;
                made.cast(DType::Bool).map_err(|e| e.message().to_string())
            }
            (kind, size) => Err(format!("numbers of type '{kind}{size}' cannot be read")),
        }
    }
    /// As [`Header::made`], of elements that may not fit in the type `what`; the first that does not is refused.
    fn made_if<const N: usize, T: Element + Default>(
        &self,
        r: &mut impl Read,
        what: &str,
        convert: impl Fn([u8; N]) -> std::result::Result<T, String>,
    ) -> std::result::Result<Tensor, String> {
        let first = RefCell::new(None);
        let made = self.made(r, |b| {
            convert(b).unwrap_or_else(|v| {
                first.borrow_mut().get_or_insert(v);
                T::default()
            })
        })?;
        first.into_inner().map_or(Ok(made), |v| Err(format!("{v} does not fit in {what}")))
    }
    /// The array, each element made of its little-endian bytes.
    fn made<const N: usize, T: Element>(
        &self,
        r: &mut impl Read,
        convert: impl Fn([u8; N]) -> T,
    ) -> std::result::Result<Tensor, String> {
        let words = |e: tallow_tensor::Error| e.message().to_string();
        let count = element_count(&self.shape).map_err(words)?;
        let values = if self.big {
            elements::read(r, count, |mut b: [u8; N]| {
                b.reverse();
                convert(b)
            })?
        } else {
            elements::read(r, count, convert)?
        };
        if self.fortran {
            let reversed: Vec<usize> = self.shape.iter().rev().copied().collect();
            Tensor::from_vec(values, &reversed).and_then(|t| t.transpose(None)?.contiguous()).map_err(words)
        } else {
            Tensor::from_vec(values, &self.shape).map_err(words)
        }
    }
    // The header is a Python dictionary such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let value = |key: &str| {
            let at = text.find(&format!("'{key}'")).ok_or(format!("its header lacks '{key}'"))?;
            let rest = text[at + key.len() + 2..].trim_start();
            rest.strip_prefix(':').map(str::trim_start).ok_or(format!("its header is malformed at '{key}'"))
        };
        let descr = value("descr")?;
        let descr = descr
            .strip_prefix('\'')
            .and_then(|d| d.split_once('\''))
            .map(|(d, _)| d)
            .ok_or("it holds records, not plain numbers")?;
        let (kind, size, big) = type_of(descr)?;
        let fortran = value("fortran_order")?;
        let fortran = match (fortran.starts_with("True"), fortran.starts_with("False")) {
            (true, _) => true,
            (_, true) => false,
            _ => return Err("its header is malformed at 'fortran_order'".into()),
        };
        let shape = value("shape")?;
        let shape = shape
            .strip_prefix('(')
            .and_then(|s| s.split_once(')'))
            .and_then(|(s, _)| {
                s.split(',').map(str::trim).filter(|d| !d.is_empty()).map(|d| d.parse().ok()).collect::<Option<_>>()
            })
            .ok_or("its header is malformed at 'shape'")?;
        Ok(Self { kind, size, big, fortran, shape, length: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }
    fn read(bytes: &[u8]) -> std::result::Result<Tensor, String> {
        let from = &mut &bytes[..];
        Header::of_file(from, bytes.len() as u64)?.tensor(from, Width::Narrow)
    }

    #[test]
    fn reads_either_order_of_axes_and_bytes() {
        let data: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let t = read(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", &data)).unwrap();
        assert_eq!((t.shape(), t.to_vec::<f32>().unwrap()), (&[2, 3][..], vec![0., 1., 2., 3., 4., 5.]));
        let t = read(&file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", &data)).unwrap();
        assert_eq!(t.to_vec::<f32>().unwrap(), vec![0., 2., 4., 1., 3., 5.]);
        let data: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        let t = read(&file("{'descr': '>f8', 'fortran_order': False, 'shape': (2,)}", &data)).unwrap();
        assert_eq!(t.to_vec::<f32>().unwrap(), vec![1.5, -2.0]);
    }

    #[test]
    fn a_header_is_written_as_numpy_writes_it() {
        let header = header_of(DType::F32, &[2, 3]).unwrap();
        assert_eq!(header.len(), 128);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(
            header.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
        );
        assert_eq!(header.last(), Some(&b'\n'));
        let read = Header::read(&mut &header[..]).unwrap();
        assert_eq!((read.kind, read.size, read.shape, read.length), ('f', 4, vec![2, 3], 128));
    }

    #[test]
    fn a_header_describes_its_array() {
        let said = |code: &str, width| describe(code, vec![2, 3], width).map(|d| (d.dtype, d.bytes));
        for (code, dtype, bytes) in
            [("<f4", "float32", 24), (">i8", "int64", 48), ("|b1", "bool", 6), ("|V2", "bfloat16", 12)]
        {
            assert_eq!(said(code, Width::Kept), Ok((dtype.to_string(), bytes)), "{code}");
        }
        assert_eq!(said("<c8", Width::Kept), Ok(("complex64".to_string(), 48)));
        assert_eq!(said("<u2", Width::Kept), Ok(("uint16".to_string(), 12)));
        assert_eq!(said("<u2", Width::Trax), Ok(("bfloat16".to_string(), 12)));
        assert!(said("|O", Width::Kept).unwrap_err().contains("|O"));
        assert!(describe("<f8", vec![usize::MAX / 4], Width::Kept).unwrap_err().contains("too many"));
        let bytes = file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }\n", &[0; 8]);
        let described = file_header(&mut &bytes[..], bytes.len() as u64).unwrap();
        assert_eq!((described.shape, described.dtype.as_str()), (vec![2, 1], "float32"));
        assert!(file_header(&mut &bytes[..], bytes.len() as u64 - 1)
            .unwrap_err()
            .contains("needs 8 bytes of data, it has 7"));
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 4)}";
        let e = read(&file(header, &[0; 16])).unwrap_err();
        assert_eq!(e, "shape [1000000000, 4] needs 16000000000 bytes of data, it has 16");
        assert!(read(b"PK\x03\x04 some zip file").unwrap_err().contains("does not start"));
        assert!(read(&file("{'descr': '|O', 'fortran_order': False, 'shape': ()}", &[])).unwrap_err().contains("|O"));
        assert!(read(&file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", &[])).is_err());
        assert!(read(&file("{'shape': (2)}", &[])).unwrap_err().contains("descr"));
        let big = (i64::from(i32::MAX) + 1).to_le_bytes();
        let e = read(&file("{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}", &big)).unwrap_err();
        assert_eq!(e, "2147483648 does not fit in int32");
    }
}
