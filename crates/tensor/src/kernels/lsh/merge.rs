//! How rounds weigh against each other: by what their rows sum to.
use crate::{
    kernels::{attention::Scalar, real::simd},
    memory, Result,
};
use std::ops::Range;

/// What a round finds for a block of queries, and what earlier rounds found for them.
pub(super) struct Merge<T> {
    /// Sums of values, each weighed by exp(product − top), `stride` apart.
    pub found: Vec<T>,
    pub stride: usize,
    /// The largest product of all rounds up to this one, and the sum over them of exp(product − most).
    pub most: Vec<T>,
    pub sum: Vec<T>,
    /// What the result so far, and what was found, are multiplied by.
    old: Vec<T>,
    new: Vec<T>,
}

impl<T: Scalar> Merge<T> {
    pub(super) fn new(rows: usize, stride: usize) -> Result<Self> {
        let of = memory::zeros::<T>;
        Ok(Self { found: of(rows * stride)?, stride, most: of(rows)?, sum: of(rows)?, old: of(rows)?, new: of(rows)? })
    }
    /// Weighs some rows, of which the largest product and the sum of exp(product − top) are given, as those of the first round, or
    /// against what `most` and `sum` say of earlier rounds. After the last round weights are divided by what they sum to.
    ///
    /// No logarithm of a sum is taken: beside a product that 10⁵ or 10⁹ was taken from, float32 would lose it.
    pub(super) fn weigh(&mut self, rows: Range<usize>, (top, total): (&[T], &[T]), first: bool, last: bool) {
        let (top, total) = (&top[rows.clone()], &total[rows.clone()]);
        let (most, sum) = (&mut self.most[rows.clone()], &mut self.sum[rows.clone()]);
        let (old, new) = (&mut self.old[rows.clone()], &mut self.new[rows]);
        if first {
            old.fill(T::default());
            new.fill(T::ONE);
            most.copy_from_slice(top);
            sum.copy_from_slice(total);
        } else {
            go_on(top, total, (most, sum), (old, new));
        }
        if last {
            finish(sum, old, new);
        }
    }
    /// Puts what was found for a row, weighed, to the result so far.
    pub(super) fn put(&self, row: usize, to: &mut [T]) {
        weighed(to, self.old[row], &self.found[row * self.stride..][..to.len()], self.new[row]);
    }
}

simd! {
fn go_on<T: Scalar>(top: &[T], total: &[T], (most, sum): (&mut [T], &mut [T]), (old, new): (&mut [T], &mut [T])) {
    let rows = top.iter().zip(total).zip(most).zip(sum).zip(old).zip(new);
    for (((((&top, &total), most), sum), old), new) in rows {
        let before = *most;
        *most = if top > before { top } else { before };
        *old = (before - *most).power();
        *new = (top - *most).power();
        *sum = *sum * *old + total * *new;
    }
}
}

simd! {
fn finish<T: Scalar>(sum: &[T], old: &mut [T], new: &mut [T]) {
    for ((&sum, old), new) in sum.iter().zip(old).zip(new) {
        let share = T::ONE / sum;
        // What is not read stays zero, also where the sum is.
        *old = if *old == T::default() { *old } else { *old * share };
        *new *= share;
    }
}
}

simd! {
/// `to · a + from · b` into `to`; `to` is not read if `a` is zero.
fn weighed<T: Scalar>(to: &mut [T], a: T, from: &[T], b: T) {
    if a == T::default() {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = from * b;
        }
        return;
    }
    for (to, &from) in to.iter_mut().zip(from) {
        *to = *to * a + from * b;
    }
}
}
