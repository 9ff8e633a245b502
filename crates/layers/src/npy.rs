//! NumPy's array file format (`.npy`), versions 1 to 3: one array of numbers. Nothing in a file is executed or trusted.
use crate::{Error, Result};
use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};
use tallow_tensor::{element_count, DType, Element, Tensor};

/// Longest header accepted; NumPy itself refuses headers beyond 10000 characters.
const MAX_HEADER: usize = 1 << 16;
const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// Magic and version.
const START: usize = 8;

/// The array of a `.npy` file, on the CPU. float64 and int64 are narrowed to 32 bits, as JAX narrows them.
///
/// # Errors
/// `Io` when the file cannot be read, is no `.npy` file, is shorter or longer than its header says, or holds something else
/// than booleans, 8-bit unsigned or 32/64-bit integers, or floats.
pub fn read_npy(path: &Path) -> Result<Tensor> {
    let fail = |why: String| Error::new("Io", format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let length = file.metadata().map_err(|e| fail(e.to_string()))?.len();
    whole(&mut BufReader::new(file), length).map_err(fail)
}

fn whole(r: &mut impl Read, length: u64) -> std::result::Result<Tensor, String> {
    let header = Header::read(r)?;
    let (expected, rest) = (header.bytes()?, length.saturating_sub(header.length));
    if expected != rest {
        return Err(format!("shape {:?} needs {expected} bytes of data, it has {rest}", header.shape));
    }
    header.tensor(r, Width::Narrow)
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

/// The array of which `bytes` are the elements: `code` is NumPy's for their type, such as `<f4`.
///
/// # Errors
/// In words, for a type that has no counterpart, or a number of bytes that is not that of the shape.
pub fn array(
    code: &str,
    fortran: bool,
    shape: Vec<usize>,
    bytes: &[u8],
    width: Width,
) -> std::result::Result<Tensor, String> {
    let (kind, size, big) = type_of(code)?;
    let header = Header { kind, size, big, fortran, shape, length: 0 };
    let expected = header.bytes()?;
    if expected != bytes.len() as u64 {
        return Err(format!("shape {:?} needs {expected} bytes of data, it has {}", header.shape, bytes.len()));
    }
    header.tensor(&mut &bytes[..], width)
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

fn make<const N: usize, T: Element>(
    bytes: &[u8],
    convert: impl Fn([u8; N]) -> T,
    shape: &[usize],
    fortran: bool,
) -> tallow_tensor::Result<Tensor> {
    let values = bytes.chunks_exact(N).filter_map(|b| b.try_into().ok()).map(convert).collect();
    if fortran {
        let reversed: Vec<usize> = shape.iter().rev().copied().collect();
        Tensor::from_vec(values, &reversed)?.transpose(None)?.contiguous()
    } else {
        Tensor::from_vec(values, shape)
    }
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
        let mut header = vec![0u8; size];
        r.read_exact(&mut header).map_err(truncated)?;
        let header = String::from_utf8(header).map_err(|_| "its header is no text".to_string())?;
        Ok(Self { length: (START + width + size) as u64, ..Self::parse(&header)? })
    }
    /// Bytes of data.
    fn bytes(&self) -> std::result::Result<u64, String> {
        let count = element_count(&self.shape).map_err(|e| e.message().to_string())?;
        (count as u64).checked_mul(self.size as u64).ok_or_else(|| "its shape has too many elements".to_string())
    }
    fn tensor(self, r: &mut impl Read, width: Width) -> std::result::Result<Tensor, String> {
        let expected = self.bytes()?;
        let Self { kind, size: item, big, fortran, shape, .. } = self;
        // The buffer grows with what really arrives.
        let mut bytes = Vec::with_capacity(expected.min(1 << 20) as usize);
        r.take(expected).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() as u64 != expected {
            return Err(format!("shape {shape:?} needs {expected} bytes of data, it has {}", bytes.len()));
        }
        if big {
            bytes.chunks_exact_mut(item).for_each(<[u8]>::reverse);
        }
        let narrow = width != Width::Kept;
        let tensor = match (kind, item) {
            ('f', 4) => make(&bytes, f32::from_le_bytes, &shape, fortran),
            ('f', 8) if narrow => make(&bytes, |b| f64::from_le_bytes(b) as f32, &shape, fortran),
            ('f', 8) => make(&bytes, f64::from_le_bytes, &shape, fortran),
            ('f', 2) => make(&bytes, |b| half::f16::from_bits(u16::from_le_bytes(b)), &shape, fortran),
            ('u', 2) if width == Width::Trax => {
                make(&bytes, |b| half::bf16::from_bits(u16::from_le_bytes(b)), &shape, fortran)
            }
            ('V', 2) => make(&bytes, |b| half::bf16::from_bits(u16::from_le_bytes(b)), &shape, fortran),
            ('i', 4) => make(&bytes, i32::from_le_bytes, &shape, fortran),
            ('i', 8) if narrow => {
                let wide = bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default()));
                if let Some(v) = wide.clone().find(|&v| i32::try_from(v).is_err()) {
                    return Err(format!("{v} does not fit in int32"));
                }
                make(&bytes, |b| i64::from_le_bytes(b) as i32, &shape, fortran)
            }
            ('i', 8) => make(&bytes, i64::from_le_bytes, &shape, fortran),
            ('u', 4) => make(&bytes, u32::from_le_bytes, &shape, fortran),
            ('u', 1) => make(&bytes, |[b]: [u8; 1]| b, &shape, fortran),
            ('b', 1) => {
                make(&bytes, |[b]: [u8; 1]| u8::from(b != 0), &shape, fortran).and_then(|t| t.cast(DType::Bool))
            }
            _ => return Err(format!("numbers of type '{kind}{item}' cannot be read")),
        };
        tensor.map_err(|e| e.message().to_string())
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
        whole(&mut &bytes[..], bytes.len() as u64)
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
