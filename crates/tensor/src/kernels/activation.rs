//! Bias and activation in one pass, and the gradients of both in one pass.
use super::{
    fill::{build, filled, Unfilled},
    real::{add_partials, rows_per_partial, rows_per_task, simd, Float, Real},
};
use crate::{memory, threads::for_tasks, Result};

/// An element-wise nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The identity.
    None,
    /// 0 for `x <= 0`, else `x`; the derivative at 0 is 0.
    Relu,
    /// `x Φ(x)` with the normal distribution function Φ (Hendrycks & Gimpel, 2016, arXiv:1606.08415).
    Gelu,
    /// GELU with Φ approximated by a tanh.
    FastGelu,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `x · sigmoid(x)`.
    Swish,
    /// `log(1 + exp(x))`, without overflow.
    Softplus,
}

/// √(2/π) to the ten digits that Trax uses.
pub(crate) const FAST_GELU_A: f64 = 0.797_884_560_8;
/// The weight of the cube in the tanh form of GELU.
pub(crate) const FAST_GELU_B: f64 = 0.044_715;
/// 1/√(2π), the height of the normal density.
pub(crate) const DENSITY: f64 = 0.398_942_280_401_432_7;

/// An activation with its derivative.
trait Function {
    fn value<A: Real>(x: A) -> A;
    /// The derivative, from the input or from the output as [`Activation::uses_output`] says.
    fn slope<A: Real>(kept: A) -> A;
}

macro_rules! function {
    ($name:ident, $a:ident, |$x:ident| $value:expr, |$k:ident| $slope:expr) => {
        struct $name;
        impl Function for $name {
            #[inline(always)]
            fn value<$a: Real>($x: $a) -> $a {
                $value
            }
            #[inline(always)]
            fn slope<$a: Real>($k: $a) -> $a {
                $slope
            }
        }
    };
}
function!(Identity, A, |x| x, |_k| A::of(1.0));
// NaN passes through, and so does its gradient.
function!(Relu, A, |x| if x <= A::of(0.0) { A::of(0.0) } else { x }, |y| {
    if y <= A::of(0.0) {
        A::of(0.0)
    } else {
        A::of(1.0)
    }
});
function!(Gelu, A, |x| x * x.normal_cdf(), |x| {
    x.normal_cdf() + x * A::of(DENSITY) * (A::of(-0.5) * x * x).exp_negative()
});
function!(
    FastGelu,
    A,
    // (1 + tanh u) / 2 is the sigmoid of 2u.
    |x| x * (x * A::of(2.0 * FAST_GELU_A) * (A::of(1.0) + A::of(FAST_GELU_B) * x * x)).sigmoid(),
    |x| {
        let square = A::of(FAST_GELU_B) * x * x;
        let s = (x * A::of(2.0 * FAST_GELU_A) * (A::of(1.0) + square)).sigmoid();
        let inner = A::of(2.0 * FAST_GELU_A) * (A::of(1.0) + A::of(3.0) * square);
        s + x * (s * (A::of(1.0) - s)) * inner
    }
);
function!(Sigmoid, A, |x| x.sigmoid(), |y| y * (A::of(1.0) - y));
function!(Tanh, A, |x| x.tanh(), |y| A::of(1.0) - y * y);
function!(Swish, A, |x| x * x.sigmoid(), |x| {
    let s = x.sigmoid();
    s * (A::of(1.0) + x * (A::of(1.0) - s))
});
function!(Softplus, A, |x| x.softplus(), |x| x.sigmoid());

/// Runs `$body` with `$F` bound to the function.
macro_rules! with_function {
    ($activation:expr, $F:ident => $body:expr) => {
        match $activation {
            Activation::None => {
                type $F = Identity;
                $body
            }
            Activation::Relu => {
                type $F = Relu;
                $body
            }
            Activation::Gelu => {
                type $F = Gelu;
                $body
            }
            Activation::FastGelu => {
                type $F = FastGelu;
                $body
            }
            Activation::Sigmoid => {
                type $F = Sigmoid;
                $body
            }
            Activation::Tanh => {
                type $F = Tanh;
                $body
            }
            Activation::Swish => {
                type $F = Swish;
                $body
            }
            Activation::Softplus => {
                type $F = Softplus;
                $body
            }
        }
    };
}

/// activation(x + bias); `bias` has one value for each of the last axis' elements.
pub(crate) fn forward<T: Float>(x: &[T], bias: Option<&[T]>, activation: Activation) -> Result<Vec<T>> {
    let cols = bias.map_or(1, <[T]>::len);
    let part = |start: usize, part: &mut Unfilled<T>| {
        let x = &x[start..start + part.len()];
        with_function!(activation, F => forward_rows::<T, F>(x, bias, part))
    };
    // SAFETY: `x` and the parts are whole rows of the bias' length, and `forward_rows` writes all of each.
    unsafe { build(x.len(), rows_per_task(cols) * cols, part) }
}

simd! {
fn forward_rows<T: Float, F: Function>(x: &[T], bias: Option<&[T]>, out: &mut Unfilled<T>) {
    match bias {
        None => {
            for (o, &v) in out.iter_mut().zip(x) {
                o.write(T::down(F::value(v.up())));
            }
        }
        Some(bias) => {
            for (x, out) in x.chunks_exact(bias.len()).zip(out.chunks_exact_mut(bias.len())) {
                for ((o, &v), &b) in out.iter_mut().zip(x).zip(bias) {
                    o.write(T::down(F::value(v.up() + b.up())));
                }
            }
        }
    }
}
}

/// Gradients of input and bias (empty without one). `kept` is the output or the input, as [`Activation::keeps_output`] says;
/// `bias` is added to it where it is the input.
pub(crate) fn backward<T: Float>(
    kept: &[T],
    bias: Option<&[T]>,
    g: &[T],
    bias_cols: Option<usize>,
    activation: Activation,
) -> Result<(Vec<T>, Vec<T>)> {
    let again = activation.uses_output() && !activation.keeps_output(T::DT);
    let Some(cols) = bias_cols else {
        let part = |start: usize, part: &mut Unfilled<T>| {
            let range = start..start + part.len();
            with_function!(activation, F => {
                backward_rows::<T, F>(&kept[range.clone()], None, &g[range], part, &mut [], again)
            })
        };
        // SAFETY: `kept` and `g` have an element for each of the part's, and `backward_rows` writes one for each.
        return Ok((unsafe { build(g.len(), rows_per_task(1), part) }?, Vec::new()));
    };
    let step = rows_per_partial(g.len() / cols, cols) * cols;
    let mut partials: Vec<T::Wide> = memory::zeros(g.len().div_ceil(step) * cols)?;
    let fill = |dx: &mut Unfilled<T>| {
        let tasks: Vec<_> =
            (kept.chunks(step).zip(g.chunks(step))).zip(dx.chunks_mut(step).zip(partials.chunks_mut(cols))).collect();
        for_tasks(
            tasks,
            g.len(),
            |((kept, g), (dx, partial))| with_function!(activation, F => backward_rows::<T, F>(kept, bias, g, dx, partial, again)),
        )
    };
    // SAFETY: `kept` and `g` are equally long, the tasks cover their rows, and `backward_rows` writes all of each row.
    let dx = unsafe { filled(g.len().min(kept.len()), fill) }?;
    let dbias = add_partials(&partials, cols)?;
    Ok((dx, dbias))
}

simd! {
fn backward_rows<T: Float, F: Function>(
    kept: &[T],
    bias: Option<&[T]>,
    g: &[T],
    dx: &mut Unfilled<T>,
    partial: &mut [T::Wide],
    again: bool,
) {
    if again {
        return backward_again::<T, F>(kept, bias, g, dx, partial);
    }
    if partial.is_empty() {
        for ((d, &k), &g) in dx.iter_mut().zip(kept).zip(g) {
            d.write(T::down(g.up() * F::slope(k.up())));
        }
        return;
    }
    let cols = partial.len();
    for ((kept, g), dx) in kept.chunks_exact(cols).zip(g.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        match bias {
            Some(bias) => {
                for ((((d, &k), &b), &g), sum) in dx.iter_mut().zip(kept).zip(bias).zip(g).zip(partial.iter_mut()) {
                    let value = g.up() * F::slope(k.up() + b.up());
                    *sum += value;
                    d.write(T::down(value));
                }
            }
            None => {
                for (((d, &k), &g), sum) in dx.iter_mut().zip(kept).zip(g).zip(partial.iter_mut()) {
                    let value = g.up() * F::slope(k.up());
                    *sum += value;
                    d.write(T::down(value));
                }
            }
        }
    }
}
}

/// `backward_rows` that makes the output again from the input, where a slope takes an output that was rounded.
fn backward_again<T: Float, F: Function>(
    input: &[T],
    bias: Option<&[T]>,
    g: &[T],
    dx: &mut Unfilled<T>,
    partial: &mut [T::Wide],
) {
    for (i, ((d, &x), &g)) in dx.iter_mut().zip(input).zip(g).enumerate() {
        let shift = bias.map_or(T::Wide::default(), |b| b[i % b.len()].up());
        let value = g.up() * F::slope(F::value(x.up() + shift));
        if let Some(sum) = i.checked_rem(partial.len()).map(|column| &mut partial[column]) {
            *sum += value;
        }
        d.write(T::down(value));
    }
}
