//! How elementwise kernels walk operands of different strides: as few axes as possible, in runs along the last.
use crate::{raw::Raw, Error, Result};
use candle_core::{Layout, Storage};
use smallvec::{smallvec, SmallVec};
use std::ops::Deref;

/// Sizes or strides of the axes of a tensor.
pub(crate) type Dims = SmallVec<[usize; 6]>;

/// Axes, outermost first, with each operand's stride; axes that all operands walk as one are merged. Never empty.
pub(crate) struct Plan<const N: usize> {
    axes: SmallVec<[(usize, [usize; N]); 4]>,
}

impl<const N: usize> Plan<N> {
    /// The plan for `shape` and the operands' strides (0 where broadcast).
    pub(crate) fn new(shape: &[usize], strides: [&[usize]; N]) -> Self {
        let mut axes: SmallVec<[(usize, [usize; N]); 4]> = SmallVec::new();
        for (i, &size) in shape.iter().enumerate() {
            if size == 1 {
                continue;
            }
            let step: [usize; N] = std::array::from_fn(|k| strides[k][i]);
            match axes.last_mut() {
                Some((outer, before)) if (0..N).all(|k| before[k] == step[k] * size) => {
                    *outer *= size;
                    *before = step;
                }
                _ => axes.push((size, step)),
            }
        }
        if axes.is_empty() {
            axes.push((1, [0; N]));
        }
        Self { axes }
    }
    /// Each operand's stride along the innermost axis.
    #[inline(always)]
    pub(crate) fn inner(&self) -> [usize; N] {
        self.axes[self.axes.len() - 1].1
    }
    /// The merged axes, outermost first.
    pub(crate) fn axes(&self) -> &[(usize, [usize; N])] {
        &self.axes
    }
    /// Calls `f(position, length, offsets)` for the runs that make up `len` row-major elements from `start` on.
    #[inline(always)]
    pub(crate) fn runs(&self, start: usize, len: usize, mut f: impl FnMut(usize, usize, [usize; N])) {
        let (outer, inner) = self.axes.split_at(self.axes.len() - 1);
        let (size, step) = inner[0];
        if len == 0 {
            return;
        }
        let mut index: SmallVec<[usize; 4]> = smallvec![0; outer.len()];
        let mut offsets = [0; N];
        let mut row = start / size;
        for (i, (n, steps)) in outer.iter().enumerate().rev() {
            index[i] = row % n;
            row /= n;
            for k in 0..N {
                offsets[k] += index[i] * steps[k];
            }
        }
        let (mut at, mut done) = (start % size, 0);
        loop {
            let run = (size - at).min(len - done);
            f(done, run, std::array::from_fn(|k| offsets[k] + at * step[k]));
            done += run;
            if done == len {
                return;
            }
            at = 0;
            for (i, (n, steps)) in outer.iter().enumerate().rev() {
                index[i] += 1;
                for k in 0..N {
                    offsets[k] += steps[k];
                }
                if index[i] < *n {
                    break;
                }
                index[i] = 0;
                for k in 0..N {
                    offsets[k] -= n * steps[k];
                }
            }
        }
    }
}

/// Strides of an operand of `shape` and `strides` seen as the broadcast shape `out` (0 where it repeats).
pub(crate) fn broadcast_strides(shape: &[usize], strides: &[usize], out: &[usize]) -> Dims {
    let missing = out.len() - shape.len();
    let mut all: Dims = smallvec![0; missing];
    all.extend(shape.iter().zip(strides).map(|(&d, &s)| if d == 1 { 0 } else { s }));
    all
}

/// The shape that operands broadcast to.
///
/// # Errors
/// `ShapeMismatch` naming `op` and the shapes.
pub(crate) fn broadcast_shape(op: &str, a: &[usize], b: &[usize]) -> Result<Dims> {
    if a == b {
        return Ok(a.into());
    }
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut out: Dims = long.into();
    let shift = long.len() - short.len();
    for (o, &s) in out[shift..].iter_mut().zip(short) {
        match (*o, s) {
            (x, y) if x == y => {}
            (1, y) => *o = y,
            (_, 1) => {}
            _ => return Err(Error::shape(format!("{op}: shapes {a:?} and {b:?} do not broadcast together"))),
        }
    }
    Ok(out)
}

/// A CPU storage held open for reading.
pub(crate) struct Reading<'a, G> {
    guard: G,
    /// How the tensor lies in it.
    pub(crate) layout: &'a Layout,
}

/// Opens the storage of a CPU tensor.
pub(crate) fn read(raw: &Raw) -> Reading<'_, impl Deref<Target = Storage> + '_> {
    let (guard, layout) = raw.storage_and_layout();
    Reading { guard, layout }
}

impl<G: Deref<Target = Storage>> Reading<'_, G> {
    /// Everything from the tensor's first element on.
    pub(crate) fn slice<T: crate::Element>(&self) -> Result<&[T]> {
        match &*self.guard {
            // An empty view may start beyond an empty storage.
            Storage::Cpu(cpu) => Ok(cpu.as_slice::<T>()?.get(self.layout.start_offset()..).unwrap_or_default()),
            _ => Err(Error::internal("a CPU kernel was called for a tensor of another device")),
        }
    }
}
