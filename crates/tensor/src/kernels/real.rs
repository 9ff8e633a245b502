//! The float types of fused kernels, and sums in a fixed order that the compiler can vectorise.
pub(crate) use super::vecmath::Real;
use crate::{memory, Element, Result};

/// An element whose sums are taken in a [`Real`]: any float.
pub(crate) trait Float: Element<Acc = <Self as Float>::Wide> {
    /// The accumulating type.
    type Wide: Real + Float<Wide = Self::Wide>;
}
impl Float for f32 {
    type Wide = f32;
}
impl Float for f64 {
    type Wide = f64;
}
impl Float for half::f16 {
    type Wide = f32;
}
impl Float for half::bf16 {
    type Wide = f32;
}

/// Compiles a function for AVX-512, AVX2 and the baseline (on ARM: NEON is the baseline) and picks one at run time.
/// The arithmetic is the same in each, so are the bits.
macro_rules! simd {
    ($($item:tt)*) => {
        #[multiversion::multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
            "x86_64+avx2+fma+bmi1+bmi2",
        ))]
        $($item)*
    };
}
pub(crate) use simd;

/// Running sums side by side, so that additions do not wait for one another.
const LANES: usize = 32;

#[inline(always)]
fn fold<A: Real>(mut lanes: [A; LANES]) -> A {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// [`fold`] after a long loop: unseen by the compiler, which else adds up lanes in the pairs that come last, not in whole registers.
#[inline(always)]
fn fold_apart<A: Real>(lanes: [A; LANES]) -> A {
    fold(std::hint::black_box(lanes))
}

/// Σ f(x). The order of additions depends on the length alone.
#[inline(always)]
pub(crate) fn sum<T: Float>(x: &[T], f: impl Fn(T::Wide) -> T::Wide) -> T::Wide {
    let mut lanes = [T::Wide::default(); LANES];
    let mut blocks = x.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane += f(v.up());
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(blocks.remainder()) {
        *lane += f(v.up());
    }
    fold_apart(lanes)
}

/// Σ f(x, y), in the order of [`sum`].
#[inline(always)]
pub(crate) fn sum2<T: Float, U: Float<Wide = T::Wide>>(
    x: &[T],
    y: &[U],
    f: impl Fn(T::Wide, T::Wide) -> T::Wide,
) -> T::Wide {
    fold_apart(lanes2(x, y, f))
}

/// Σ x·y, in the order of [`sum`], for short rows.
#[inline(always)]
pub(crate) fn dot<T: Real + Float<Wide = T>>(x: &[T], y: &[T]) -> T {
    fold(lanes2(x, y, |x, y| x * y))
}

#[inline(always)]
fn lanes2<T: Float, U: Float<Wide = T::Wide>>(
    x: &[T],
    y: &[U],
    f: impl Fn(T::Wide, T::Wide) -> T::Wide,
) -> [T::Wide; LANES] {
    let mut lanes = [T::Wide::default(); LANES];
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    let (mut xs, mut ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    for (a, b) in (&mut xs).zip(&mut ys) {
        for i in 0..LANES {
            lanes[i] += f(a[i].up(), b[i].up());
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(xs.remainder()).zip(ys.remainder()) {
        *lane += f(a.up(), b.up());
    }
    lanes
}

/// The largest value; NaN are passed over (what follows a maximum turns them into NaN again), −∞ when empty.
#[inline(always)]
pub(crate) fn max<T: Float>(x: &[T]) -> T::Wide {
    let mut lanes = [T::Wide::LOWEST; LANES];
    let mut blocks = x.chunks_exact(LANES);
    let larger = |m: T::Wide, v: T::Wide| if v > m { v } else { m };
    for block in &mut blocks {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, v.up());
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(blocks.remainder()) {
        *lane = larger(*lane, v.up());
    }
    lanes.into_iter().fold(T::Wide::LOWEST, larger)
}

/// Rows per task, fixed by the row's length: enough work to be worth handing to a thread.
pub(crate) fn rows_per_task(cols: usize) -> usize {
    (crate::threads::GRAIN / cols.max(1)).max(1)
}

/// Rows per partial sum over rows: at most 32 partial sums, whose number depends on the shape alone.
pub(crate) fn rows_per_partial(rows: usize, cols: usize) -> usize {
    rows.div_ceil(32).max(rows_per_task(cols))
}

/// Sums partial rows of `cols` in order: the end of a sum over rows that was cut into tasks.
pub(crate) fn add_partials<T: Float>(partials: &[T::Wide], cols: usize) -> Result<Vec<T>> {
    let mut total: Vec<T::Wide> = memory::zeros(cols)?;
    for partial in partials.chunks_exact(cols.max(1)) {
        for (t, &p) in total.iter_mut().zip(partial) {
            *t += p;
        }
    }
    memory::collect(total.into_iter().map(T::down))
}
