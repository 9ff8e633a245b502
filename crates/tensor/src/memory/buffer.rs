//! The one door for buffers whose size follows from shapes: what cannot be had is an error, where `vec![]` ends the process.
use super::admit_bytes;
use crate::{DType, Error, ErrorKind, Result};
use bytemuck::Zeroable;
use smallvec::SmallVec;

/// How large a buffer is to be: a number of elements, or a shape. Errors show it as given.
#[derive(Debug, Clone, Copy)]
pub enum Extent<'a> {
    /// So many elements.
    Count(usize),
    /// The elements of a shape.
    Shape(&'a [usize]),
}

impl From<usize> for Extent<'_> {
    fn from(n: usize) -> Self {
        Extent::Count(n)
    }
}
impl<'a> From<&'a [usize]> for Extent<'a> {
    fn from(shape: &'a [usize]) -> Self {
        Extent::Shape(shape)
    }
}
impl<'a, const N: usize> From<&'a [usize; N]> for Extent<'a> {
    fn from(shape: &'a [usize; N]) -> Self {
        Extent::Shape(shape)
    }
}
impl<'a> From<&'a Vec<usize>> for Extent<'a> {
    fn from(shape: &'a Vec<usize>) -> Self {
        Extent::Shape(shape)
    }
}
impl<'a, const N: usize> From<&'a SmallVec<[usize; N]>> for Extent<'a>
where
    [usize; N]: smallvec::Array<Item = usize>,
{
    fn from(shape: &'a SmallVec<[usize; N]>) -> Self {
        Extent::Shape(shape)
    }
}

impl Extent<'_> {
    /// How many elements; for one that was allowed.
    #[inline]
    pub(crate) fn elements(self) -> usize {
        self.count().unwrap_or(0)
    }

    /// Elements, or none where the number overflows.
    #[inline]
    fn count(self) -> Option<usize> {
        match self {
            Extent::Count(n) => Some(n),
            Extent::Shape(shape) => shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)),
        }
    }

    /// What an error calls a buffer of this size.
    fn describe(self, element_bytes: usize) -> String {
        match self {
            Extent::Count(n) => format!("a buffer of {n} elements of {element_bytes} bytes"),
            Extent::Shape(shape) => format!("shape {shape:?} of elements of {element_bytes} bytes"),
        }
    }
}

/// Elements and bytes of a buffer that may be made.
fn allowed(extent: Extent<'_>, element_bytes: usize) -> Result<usize> {
    let size = extent.count().and_then(|n| Some((n, n.checked_mul(element_bytes)?)));
    let (n, bytes) = size.filter(|s| s.1 <= isize::MAX as usize).unwrap_or((usize::MAX, usize::MAX));
    admit_bytes(bytes, || extent.describe(element_bytes))?;
    Ok(n)
}

/// Refuses a tensor that may not be made, before anything is: for what candle allocates, and for sizes that a file states.
///
/// # Errors
/// `OutOfMemory`, with the shape and its bytes, when they and the tensors alive exceed the memory limit.
pub fn admit_tensor(shape: &[usize], dtype: DType) -> Result<()> {
    allowed(shape.into(), dtype.size()).map(|_| ())
}

/// As [`admit_tensor`], for elements of any size.
///
/// # Errors
/// As [`admit_tensor`].
pub fn admit<'a>(extent: impl Into<Extent<'a>>, element_bytes: usize) -> Result<()> {
    allowed(extent.into(), element_bytes).map(|_| ())
}

/// What the system could not give.
#[cold]
fn refused(extent: Extent<'_>, element_bytes: usize) -> Error {
    let bytes = extent.count().and_then(|n| n.checked_mul(element_bytes)).unwrap_or(usize::MAX);
    Error::new(
        ErrorKind::OutOfMemory,
        format!(
            "the system has no memory for {}, {}: use smaller shapes, or dispose of tensors that are no longer needed",
            extent.describe(element_bytes),
            super::show(bytes)
        ),
    )
}

/// An empty vector with room for so many elements.
///
/// # Errors
/// `OutOfMemory`, with the size, when the memory limit forbids it or the system has no more.
#[inline]
pub fn room<'a, T>(extent: impl Into<Extent<'a>>) -> Result<Vec<T>> {
    let extent = extent.into();
    let n = allowed(extent, size_of::<T>())?;
    let mut out = Vec::new();
    out.try_reserve_exact(n).map_err(|_| refused(extent, size_of::<T>()))?;
    Ok(out)
}

/// So many zeros; pages of a large vector are only touched once they are written.
///
/// # Errors
/// As [`room`].
#[inline]
pub fn zeros<'a, T: Zeroable>(extent: impl Into<Extent<'a>>) -> Result<Vec<T>> {
    let extent = extent.into();
    let n = allowed(extent, size_of::<T>())?;
    bytemuck::allocation::try_zeroed_vec(n).map_err(|()| refused(extent, size_of::<T>()))
}

/// So many times `value`.
///
/// # Errors
/// As [`room`].
#[inline]
pub fn full<'a, T: Clone>(extent: impl Into<Extent<'a>>, value: T) -> Result<Vec<T>> {
    let extent = extent.into();
    let n = allowed(extent, size_of::<T>())?;
    let mut out = Vec::new();
    out.try_reserve_exact(n).map_err(|_| refused(extent, size_of::<T>()))?;
    out.resize(n, value);
    Ok(out)
}

/// A copy of `values`.
///
/// # Errors
/// As [`room`].
#[inline]
pub fn copy<T: Clone>(values: &[T]) -> Result<Vec<T>> {
    let mut out = room(values.len())?;
    out.extend_from_slice(values);
    Ok(out)
}

/// The items of an iterator that knows how many there are.
///
/// # Errors
/// As [`room`].
#[inline]
pub fn collect<T>(items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>) -> Result<Vec<T>> {
    let items = items.into_iter();
    let mut out = room(items.len())?;
    out.extend(items);
    Ok(out)
}

/// The items of such an iterator, if there are all of them; none if one is none.
///
/// # Errors
/// As [`room`].
#[inline]
pub fn collect_some<T>(
    items: impl IntoIterator<Item = Option<T>, IntoIter: ExactSizeIterator>,
) -> Result<Option<Vec<T>>> {
    let items = items.into_iter();
    let mut out = room(items.len())?;
    for item in items {
        match item {
            Some(item) => out.push(item),
            None => return Ok(None),
        }
    }
    Ok(Some(out))
}

/// Makes room for `more` elements behind those that `out` holds; in steps that grow with it, so that one by one costs little.
///
/// # Errors
/// As [`room`].
#[inline]
pub fn grow<T>(out: &mut Vec<T>, more: usize) -> Result<()> {
    if out.capacity() - out.len() >= more {
        return Ok(());
    }
    let wanted = Extent::Count(out.len().saturating_add(more).max(2 * out.len()));
    allowed(wanted, size_of::<T>())?;
    out.try_reserve(more).map_err(|_| refused(wanted, size_of::<T>()))
}

/// Puts an element behind those that `out` holds, for lists whose length nobody knows before.
///
/// # Errors
/// As [`room`].
#[inline]
pub fn push<T>(out: &mut Vec<T>, item: T) -> Result<()> {
    grow(out, 1)?;
    out.push(item);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than any machine has, so that no test depends on the limit.
    const TOO_MANY: usize = 1 << 52;

    #[test]
    fn buffers_hold_what_was_asked_for() {
        assert_eq!(zeros::<f64>(&[2, 3]).expect("zeros"), [0.0; 6]);
        assert_eq!(full(4, 7u8).expect("sevens"), [7; 4]);
        assert_eq!(collect((0..5).map(|i| i * i)).expect("squares"), [0, 1, 4, 9, 16]);
        assert_eq!(copy(&[3i32, 1, 2]).expect("a copy"), [3, 1, 2]);
        assert_eq!(collect_some([Some(1), Some(2)]).expect("two"), Some(vec![1, 2]));
        assert_eq!(collect_some([Some(1), None]).expect("two"), None);
        let mut pushed = Vec::new();
        (0..1000).try_for_each(|i| push(&mut pushed, i)).expect("a thousand numbers");
        assert!(pushed.iter().copied().eq(0..1000));
        let empty = room::<u32>(9).expect("room");
        assert!(empty.is_empty() && empty.capacity() >= 9);
        assert!(zeros::<f32>(&[0, TOO_MANY, TOO_MANY]).expect("nothing").is_empty());
    }

    #[test]
    fn what_cannot_be_had_is_an_error_that_names_size_and_bytes() {
        let refusals = [
            zeros::<f32>(&[4, 1 << 50]).map(|_| ()),
            full(TOO_MANY, 1f64).map(|_| ()),
            room::<u8>(usize::MAX).map(|_| ()),
            collect((0..TOO_MANY).map(|i| i as f32)).map(|_| ()),
            admit_tensor(&[1 << 40, 1 << 40], DType::F32),
        ];
        for (refusal, part) in refusals.into_iter().zip([
            "[4, 1125899906842624]",
            "4503599627370496 elements of 8 bytes",
            "elements of 1 bytes",
            "4503599627370496 elements of 4 bytes",
            "[1099511627776, 1099511627776]",
        ]) {
            let e = refusal.expect_err("no machine has that");
            assert_eq!(e.kind(), ErrorKind::OutOfMemory);
            assert!(e.message().contains(part), "{}", e.message());
        }
        let e = zeros::<f32>(&[4, 1 << 50]).expect_err("too many");
        assert!(e.message().contains("18014398509481984 bytes"), "{}", e.message());
    }
}
