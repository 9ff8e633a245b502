//! The innermost loops of a float32 product on processors that no others are written for, such as those of WebAssembly.
use super::micro::compile;

/// As many elements as the compiler makes one or a few registers of.
pub(super) const LANES: usize = 8;

pub(super) fn zero() -> [f32; LANES] {
    [0.0; LANES]
}

/// # Safety
/// There are as many elements.
pub(super) unsafe fn load(at: *const f32) -> [f32; LANES] {
    // SAFETY: the caller's promise; an array is aligned as its elements are.
    unsafe { at.cast::<[f32; LANES]>().read() }
}

/// # Safety
/// There is room for as many elements.
pub(super) unsafe fn store(at: *mut f32, v: [f32; LANES]) {
    // SAFETY: as in `load`.
    unsafe { at.cast::<[f32; LANES]>().write(v) }
}

pub(super) fn splat(x: f32) -> f32 {
    x
}

/// `x · y + sum`, rounded twice: where there is no instruction for both, it would take a hundred times as long to round once.
pub(super) fn multiply_add(x: f32, y: [f32; LANES], sum: [f32; LANES]) -> [f32; LANES] {
    std::array::from_fn(|i| x * y[i] + sum[i])
}

fn multiply(x: f32, y: [f32; LANES]) -> [f32; LANES] {
    y.map(|y| x * y)
}

compile!(arrays, [], 8, 4, 1, [1 2 3 4], avx2: false, transpose8, zero, load, store, splat, multiply_add, multiply);

/// # Safety
/// As [`super::micro::Transpose`].
unsafe fn transpose8(from: *const f32, from_rows: usize, to: *mut f32, to_rows: usize) {
    for (i, j) in (0..64).map(|n| (n / 8, n % 8)) {
        // SAFETY: within what the caller vouches for.
        unsafe { *to.add(i * to_rows + j) = *from.add(j * from_rows + i) };
    }
}
