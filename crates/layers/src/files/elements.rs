//! Elements of arrays as little-endian bytes, piece by piece: no second copy of an array is made on its way from or to a file.
use crate::Result;
use std::io::{ErrorKind, Read};
use tallow_tensor::{for_any, memory, Tensor};

/// Bytes in a piece.
const PIECE: usize = 1 << 16;
/// Bytes of a view that are copied together.
const SLAB: usize = 1 << 20;

/// Reads `count` elements of `N` bytes each.
///
/// # Errors
/// In words, when the bytes end early or cannot be read, or memory for the elements cannot be had.
pub fn read<const N: usize, T>(
    from: &mut impl Read,
    count: usize,
    convert: impl Fn([u8; N]) -> T,
) -> std::result::Result<Vec<T>, String> {
    let mut out = memory::room(count).map_err(|e| e.message().to_string())?;
    let mut piece = vec![0u8; (PIECE / N).min(count) * N]; // few: a piece
    while out.len() < count {
        let n = (count - out.len()).min(PIECE / N);
        let bytes = &mut piece[..n * N];
        from.read_exact(bytes).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => "it ends early".to_string(),
            _ => e.to_string(),
        })?;
        out.extend(bytes.as_chunks::<N>().0.iter().map(|b| convert(*b)));
    }
    Ok(out)
}

/// Hands the elements of a tensor to `sink`, in row-major order.
///
/// # Errors
/// Those of `sink`.
pub fn write(t: &Tensor, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let t = &t.detach();
    let rows = t.shape().first().copied().unwrap_or(0);
    let bytes = t.size() * t.dtype().size();
    if t.is_contiguous() || bytes <= SLAB || rows == 0 {
        return write_at_once(t, sink);
    }
    // The values of a view that lies otherwise are a copy, which is made slab by slab.
    let at_once = (SLAB / (bytes / rows)).max(1);
    for row in (0..rows).step_by(at_once) {
        match at_once {
            1 => write(&t.index(0, row as isize)?, sink)?,
            n => write_at_once(&t.narrow(0, row, n.min(rows - row))?, sink)?,
        }
    }
    Ok(())
}

fn write_at_once(t: &Tensor, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    for_any!(t.dtype(), T => {
        let values = t.values::<T>()?;
        let mut piece = Vec::with_capacity(PIECE); // few
        for part in values.chunks(PIECE / std::mem::size_of::<T>()) {
            piece.clear();
            part.iter().for_each(|v| piece.extend_from_slice(&v.to_le_bytes()));
            sink(&piece)?;
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(out: &mut Vec<u8>) -> impl FnMut(&[u8]) -> Result<()> + '_ {
        move |piece| {
            out.extend_from_slice(piece);
            Ok(())
        }
    }

    #[test]
    fn arrays_longer_than_a_piece_come_back() {
        let values: Vec<i32> = (0..100_000).map(|i| i * 7919 - 5).collect();
        let t = Tensor::from_vec(values.clone(), &[100, 1000]).unwrap();
        let (mut bytes, mut longest) = (Vec::new(), 0);
        let mut sink = |piece: &[u8]| {
            longest = longest.max(piece.len());
            bytes.extend_from_slice(piece);
            Ok(())
        };
        write(&t, &mut sink).unwrap();
        assert_eq!((bytes.len(), longest), (400_000, PIECE));
        assert_eq!(read(&mut &bytes[..], 100_000, i32::from_le_bytes).unwrap(), values);
        let columns = t.transpose(None).unwrap();
        bytes.clear();
        write(&columns, &mut collect(&mut bytes)).unwrap();
        assert_eq!(bytes[4..8], values[1000].to_le_bytes());
        // Views that are copied in slabs: of many rows, and of rows that are larger than a slab.
        for shape in [[1000, 2, 500], [3, 700_000, 1]] {
            let size = shape.iter().product::<usize>() as i32;
            let view = Tensor::from_vec((0..size).collect::<Vec<i32>>(), &[shape[1], shape[0], shape[2]]).unwrap();
            let view = view.transpose(Some(&[1, 0, 2])).unwrap();
            let mut out = Vec::new();
            write(&view, &mut collect(&mut out)).unwrap();
            assert_eq!(read(&mut &out[..], size as usize, i32::from_le_bytes).unwrap(), view.to_vec::<i32>().unwrap());
        }
        assert_eq!(read(&mut &bytes[..9], 3, i32::from_le_bytes).unwrap_err(), "it ends early");
        assert!(read(&mut &bytes[..], usize::MAX / 8, i32::from_le_bytes).unwrap_err().contains("no memory for"));
        assert_eq!(read(&mut &bytes[..0], 0, i32::from_le_bytes).unwrap(), Vec::<i32>::new());
    }
}
