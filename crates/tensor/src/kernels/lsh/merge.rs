//! How rounds weigh against each other: by what their rows sum to.
use super::log_sum;
use crate::kernels::{attention::Scalar, real::simd};
use std::ops::Range;

/// What a round finds for a block of queries, and what earlier rounds found for them.
pub(super) struct Merge<T> {
    /// Sums of values, each weighed by exp(product − top), `stride` apart.
    pub found: Vec<T>,
    pub stride: usize,
    /// The largest log-sum-exp of all rounds up to this one, and the sum over them of exp(log-sum-exp − most).
    pub most: Vec<T>,
    pub sum: Vec<T>,
    /// What the result so far, and what was found, are multiplied by.
    old: Vec<T>,
    new: Vec<T>,
}

impl<T: Scalar> Merge<T> {
    pub(super) fn new(rows: usize, stride: usize) -> Self {
        let of = |n| vec![T::default(); n];
        Self { found: of(rows * stride), stride, most: of(rows), sum: of(rows), old: of(rows), new: of(rows) }
    }
    /// Weighs some rows, of which the largest product and the sum of exp(product − top) are given, as those of the first round, or
    /// against what `most` and `sum` say of earlier rounds. After the last round weights are divided by what they sum to.
    pub(super) fn weigh(&mut self, rows: Range<usize>, (top, total): (&[T], &[T]), first: bool, last: bool) {
        let (top, total) = (&top[rows.clone()], &total[rows.clone()]);
        let (most, sum) = (&mut self.most[rows.clone()], &mut self.sum[rows.clone()]);
        let (old, new) = (&mut self.old[rows.clone()], &mut self.new[rows]);
        if first {
            old.fill(T::default());
            begin(top, total, most, sum, new);
        } else {
            go_on(top, total, (most, sum), (old, new));
        }
        if last && !first {
            finish(most, sum, old, new);
        }
    }
    /// Puts what was found for a row, weighed, to the result so far.
    pub(super) fn put(&self, row: usize, to: &mut [T]) {
        weighed(to, self.old[row], &self.found[row * self.stride..][..to.len()], self.new[row]);
    }
}

simd! {
fn begin<T: Scalar>(top: &[T], total: &[T], most: &mut [T], sum: &mut [T], new: &mut [T]) {
    for ((((&top, &total), most), sum), new) in top.iter().zip(total).zip(most).zip(sum).zip(new) {
        *most = log_sum(top, total);
        *sum = T::ONE;
        *new = (top - *most).power();
    }
}
}

simd! {
fn go_on<T: Scalar>(top: &[T], total: &[T], (most, sum): (&mut [T], &mut [T]), (old, new): (&mut [T], &mut [T])) {
    let rows = top.iter().zip(total).zip(most).zip(sum).zip(old).zip(new);
    for (((((&top, &total), most), sum), old), new) in rows {
        let (log, before) = (log_sum(top, total), *most);
        *most = if log > before { log } else { before };
        let weight = (log - *most).power();
        *old = (before - *most).power();
        *new = (top - log).power() * weight;
        *sum = *sum * *old + weight;
    }
}
}

simd! {
fn finish<T: Scalar>(most: &[T], sum: &[T], old: &mut [T], new: &mut [T]) {
    for (((&most, &sum), old), new) in most.iter().zip(sum).zip(old).zip(new) {
        let all = (most - log_sum(most, sum)).power();
        *old *= all;
        *new *= all;
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
