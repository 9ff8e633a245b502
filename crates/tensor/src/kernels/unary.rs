//! Functions of one element, and cotangents times their derivatives.
//!
//! A function is a type here, not a closure: a long closure is not inlined into a loop that is compiled for wide registers,
//! which is then no faster than one element at a time.
use super::{
    fill::{build, Unfilled},
    number::Number,
    real::{simd, Float, Real},
};
use crate::{threads::GRAIN, DType, Result};

/// A function of one number with its derivative.
pub(crate) trait Function: Copy + Send + Sync + 'static {
    /// The value.
    fn value<R: Real + Number>(self, x: R) -> R;
    /// `c` times the derivative, given the input or the output.
    fn slope<R: Real + Number>(self, c: R, saved: R) -> R;
    /// Whether `value` and `slope` do not take this argument. Such ones are rare: a part of a tensor with one is worked off by
    /// [`Function::far_value`] and [`Function::far_slope`], which take any, one element at a time.
    #[inline(always)]
    fn is_far<R: Real + Number>(self, _x: R) -> bool {
        false
    }
    /// The value for any argument.
    fn far_value<R: Real + Number>(self, x: R) -> R {
        self.value(x)
    }
    /// `c` times the derivative for any argument.
    fn far_slope<R: Real + Number>(self, c: R, saved: R) -> R {
        self.slope(c, saved)
    }
}

/// The function of each element.
pub(crate) fn values<T: Float<Wide: Number>, F: Function>(f: F, x: &[T]) -> Result<Vec<T>> {
    let part = |start: usize, out: &mut Unfilled<T>| {
        let x = &x[start..start + out.len()];
        if const { wide(T::DT) } {
            values_wide(f, x, out);
        } else {
            values_part(f, x, out);
        }
    };
    // SAFETY: both write one element for each of `x`, which is as long as the part.
    unsafe { build(x.len(), GRAIN, part) }
}

/// Each cotangent times the derivative, given the inputs or the outputs.
///
/// # Panics
/// Unless both are equally long.
pub(crate) fn slopes<T: Float<Wide: Number>, F: Function>(f: F, c: &[T], saved: &[T]) -> Result<Vec<T>> {
    assert_eq!(c.len(), saved.len(), "a cotangent is as large as its value");
    let part = |start: usize, out: &mut Unfilled<T>| {
        let range = start..start + out.len();
        let (c, saved) = (&c[range.clone()], &saved[range]);
        if const { wide(T::DT) } {
            slopes_wide(f, c, saved, out);
        } else {
            slopes_part(f, c, saved, out);
        }
    };
    // SAFETY: both write one element for each of `c` and `saved`, which are as long as the part.
    unsafe { build(c.len(), GRAIN, part) }
}

/// Whether to compile for wide registers: each form costs compile time for every function, so not for halves.
const fn wide(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// Whether one argument is far; in one pass without a branch, which costs little, or nothing where none ever is.
#[inline(always)]
fn any_far<T: Float<Wide: Number>, F: Function>(f: F, x: &[T]) -> bool {
    x.iter().fold(false, |any, &x| any | f.is_far(x.up()))
}

#[inline(always)]
fn values_part<T: Float<Wide: Number>, F: Function>(f: F, x: &[T], out: &mut Unfilled<T>) {
    if any_far(f, x) {
        for (o, &x) in out.iter_mut().zip(x) {
            o.write(T::down(f.far_value(x.up())));
        }
        return;
    }
    for (o, &x) in out.iter_mut().zip(x) {
        o.write(T::down(f.value(x.up())));
    }
}

#[inline(always)]
fn slopes_part<T: Float<Wide: Number>, F: Function>(f: F, c: &[T], saved: &[T], out: &mut Unfilled<T>) {
    if any_far(f, saved) {
        for ((o, &c), &s) in out.iter_mut().zip(c).zip(saved) {
            o.write(T::down(f.far_slope(c.up(), s.up())));
        }
        return;
    }
    for ((o, &c), &s) in out.iter_mut().zip(c).zip(saved) {
        o.write(T::down(f.slope(c.up(), s.up())));
    }
}

simd! {
fn values_wide<T: Float<Wide: Number>, F: Function>(f: F, x: &[T], out: &mut Unfilled<T>) {
    values_part(f, x, out);
}
}

simd! {
fn slopes_wide<T: Float<Wide: Number>, F: Function>(f: F, c: &[T], saved: &[T], out: &mut Unfilled<T>) {
    slopes_part(f, c, saved, out);
}
}
