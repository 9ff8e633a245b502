//! Reductions of row-major values seen as [outer, reduced, inner], cut at places that depend on the shape alone.
use super::number::Number;
use crate::{
    dtype::{Whole, Wide},
    memory,
    threads::{self, GRAIN},
    Element, Result,
};
use multiversion::multiversion;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How two partial results combine.
pub(crate) trait Combine<A>: Copy + Sync {
    /// What combines to nothing.
    fn start(self) -> A;
    /// The two in one. Must be associative up to rounding.
    fn join(self, a: A, b: A) -> A;
}

macro_rules! combine {
    ($($name:ident, $start:expr, $join:ident, $what:literal;)*) => {$(
        #[doc = $what]
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl<A: Number> Combine<A> for $name {
            #[inline(always)]
            fn start(self) -> A { $start }
            #[inline(always)]
            fn join(self, a: A, b: A) -> A { a.$join(b) }
        }
    )*};
}
combine! {
    Sum, A::ZERO, plus, "Sums.";
    Product, A::ONE, times, "Products.";
    Largest, A::LOWEST, larger, "The largest, NaN if one is.";
    Smallest, A::HIGHEST, smaller, "The smallest, NaN if one is.";
}

/// Sums of integers, exact.
#[derive(Clone, Copy)]
pub(crate) struct WholeSum;
impl<A: Wide> Combine<A> for WholeSum {
    #[inline(always)]
    fn start(self) -> A {
        A::default()
    }
    #[inline(always)]
    fn join(self, a: A, b: A) -> A {
        a.plus(b)
    }
}

/// Products of integers: exact, or beyond every element type.
#[derive(Clone, Copy)]
pub(crate) struct WholeProduct;
impl<A: Wide> Combine<A> for WholeProduct {
    #[inline(always)]
    fn start(self) -> A {
        A::ONE
    }
    #[inline(always)]
    fn join(self, a: A, b: A) -> A {
        a.times(b)
    }
}

/// Independent running results along a row: as many as vector registers want, and the error of sums grows slower.
const LANES: usize = 32;
/// Elements folded lane by lane before partial results are combined pairwise.
const BLOCK: usize = 2048;

#[inline(always)]
fn lanes<T: Copy, A: Copy, C: Combine<A>>(values: &[T], up: impl Fn(T) -> A + Copy, how: C) -> A {
    if values.len() < LANES {
        return values.iter().fold(how.start(), |a, &v| how.join(a, up(v)));
    }
    let mut running = [how.start(); LANES];
    let mut parts = values.chunks_exact(LANES);
    for part in parts.by_ref() {
        for (a, &v) in running.iter_mut().zip(part) {
            *a = how.join(*a, up(v));
        }
    }
    for (a, &v) in running.iter_mut().zip(parts.remainder()) {
        *a = how.join(*a, up(v));
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            running[i] = how.join(running[i], running[i + width]);
        }
        width /= 2;
    }
    running[0]
}

/// One row: blocks, combined two by two as a binary counter carries.
#[inline(always)]
fn row<T: Copy, A: Copy, C: Combine<A>>(values: &[T], up: impl Fn(T) -> A + Copy, how: C) -> A {
    if values.len() <= BLOCK {
        return lanes(values, up, how);
    }
    let mut levels: [Option<A>; usize::BITS as usize] = [None; usize::BITS as usize];
    for block in values.chunks(BLOCK) {
        let mut sum = lanes(block, up, how);
        for level in levels.iter_mut() {
            match level.take() {
                Some(before) => sum = how.join(before, sum),
                None => {
                    *level = Some(sum);
                    break;
                }
            }
        }
    }
    levels.into_iter().flatten().reduce(|small, large| how.join(large, small)).unwrap_or_else(|| how.start())
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma+bmi1+bmi2", "x86_64+avx2+fma+bmi1+bmi2"))]
fn rows_part<T: Copy, A: Copy, C: Combine<A>, U: Fn(T) -> A + Copy>(
    values: &[T],
    size: usize,
    out: &mut [A],
    up: U,
    how: C,
) {
    for (o, values) in out.iter_mut().zip(values.chunks_exact(size)) {
        *o = row(values, up, how);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma+bmi1+bmi2", "x86_64+avx2+fma+bmi1+bmi2"))]
fn columns_part<T: Copy, A: Copy, C: Combine<A>, U: Fn(T) -> A + Copy>(
    values: &[T],
    stride: usize,
    rows: usize,
    out: &mut [A],
    up: U,
    how: C,
) {
    for (o, &v) in out.iter_mut().zip(values) {
        *o = up(v);
    }
    for r in 1..rows {
        for (o, &v) in out.iter_mut().zip(&values[r * stride..]) {
            *o = how.join(*o, up(v));
        }
    }
}

/// What is in the accumulating type already.
#[inline(always)]
pub(crate) fn same<A>(a: A) -> A {
    a
}

/// Reduces the middle axis of [outer, size, inner] values, `size > 0`, to [outer, inner] results of type `A`.
pub(crate) fn middle<T, A, C, U>(values: &[T], [outer, size, inner]: [usize; 3], up: U, how: C) -> Result<Vec<A>>
where
    T: Copy + Sync,
    A: Copy + Send + Sync,
    C: Combine<A>,
    U: Fn(T) -> A + Copy + Sync,
{
    if inner == 1 {
        // Long rows are cut, the pieces reduced again.
        let pieces = if size >= 2 * GRAIN { size.div_ceil(GRAIN) } else { 1 };
        let mut out = memory::full(outer * pieces, how.start())?;
        if pieces == 1 {
            let chunk = (GRAIN / size).max(1);
            threads::for_chunks_of(&mut out, chunk, outer * size, |start, out| {
                rows_part(&values[start * size..], size, out, up, how);
            })?;
            return Ok(out);
        }
        threads::for_chunks_of(&mut out, 1, outer * size, |i, out| {
            let (o, p) = (i / pieces, i % pieces);
            let (from, to) = (p * GRAIN, ((p + 1) * GRAIN).min(size));
            rows_part(&values[o * size + from..o * size + to], to - from, out, up, how);
        })?;
        return middle(&out, [outer, pieces, 1], same, how);
    }
    // Blocks of rows by chunks of columns; the blocks' results are reduced again.
    let width = inner.min(2048);
    let tall = (2 * GRAIN / width).clamp(8, 512);
    let blocks = size.div_ceil(tall);
    let mut out = memory::full(outer * blocks * inner, how.start())?;
    let mut tasks: Vec<(usize, &mut [A])> = memory::room(outer * blocks * inner.div_ceil(width))?;
    for (line, results) in out.chunks_mut(inner).enumerate() {
        let (o, b) = (line / blocks, line % blocks);
        let first = (o * size + b * tall) * inner;
        tasks.extend(results.chunks_mut(width).enumerate().map(|(i, part)| (first + i * width, part)));
    }
    let few = tasks.len().div_ceil(64).min((GRAIN / (tall.min(size) * width)).max(1));
    threads::for_chunks_of(&mut tasks, few, values.len(), |_, tasks| {
        for (first, part) in tasks {
            let block = (*first / inner % size) / tall;
            columns_part(&values[*first..], inner, tall.min(size - block * tall), part, up, how);
        }
    })?;
    drop(tasks);
    if blocks == 1 {
        Ok(out)
    } else {
        middle(&out, [outer, blocks, inner], same, how)
    }
}

/// The first index of the best element along the middle axis; `better(new, best)` says that `new` replaces `best`.
pub(crate) fn best_index<T: Element>(
    values: &[T],
    [outer, size, inner]: [usize; 3],
    better: impl Fn(T, T) -> bool + Sync,
) -> Result<Vec<i32>> {
    let mut out = memory::zeros(outer * inner)?;
    if out.is_empty() || size == 0 {
        return Ok(out);
    }
    let lines = (GRAIN / (size * inner)).max(1);
    threads::for_chunks_of(&mut out, lines * inner, values.len(), |start, out| {
        for (l, line) in out.chunks_mut(inner).enumerate() {
            let values = &values[(start / inner + l) * size * inner..];
            for k in 1..size {
                for (j, o) in line.iter_mut().enumerate() {
                    if better(values[k * inner + j], values[*o as usize * inner + j]) {
                        *o = k as i32;
                    }
                }
            }
        }
    })?;
    Ok(out)
}

/// Running sums along the middle axis, from its end when `backwards`.
pub(crate) fn running_sum<T: Element>(values: &[T], [outer, size, inner]: [usize; 3], backwards: bool) -> Result<Vec<T>>
where
    T::Acc: Number,
{
    let mut out = memory::copy(values)?;
    if outer * size * inner == 0 {
        return Ok(out);
    }
    let lines = (GRAIN / (size * inner)).max(1);
    threads::for_chunks_of(&mut out, lines * size * inner, values.len(), |_, out| {
        let mut sums = memory::full(inner, T::Acc::ZERO)?;
        for line in out.chunks_mut(size * inner) {
            sums.fill(T::Acc::ZERO);
            for i in 0..size {
                let k = if backwards { size - 1 - i } else { i };
                for (v, sum) in line[k * inner..(k + 1) * inner].iter_mut().zip(&mut sums) {
                    *sum = sum.plus(v.up());
                    *v = T::down(*sum);
                }
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// [`running_sum`] of integers as another integer type; `None` where a sum does not fit it.
pub(crate) fn running_whole<T: Whole, O: Whole>(
    values: &[T],
    [outer, size, inner]: [usize; 3],
) -> Result<Option<Vec<O>>> {
    let mut out: Vec<O> = memory::zeros(values.len())?;
    if outer * size * inner == 0 {
        return Ok(Some(out));
    }
    let good = AtomicBool::new(true);
    let lines = (GRAIN / (size * inner)).max(1);
    threads::for_chunks_of(&mut out, lines * size * inner, values.len(), |start, out| {
        let mut sums = memory::full(inner, T::Wide::default())?;
        for (line, values) in out.chunks_mut(size * inner).zip(values[start..].chunks(size * inner)) {
            sums.fill(T::Wide::default());
            for (row, values) in line.chunks_mut(inner).zip(values.chunks(inner)) {
                for ((o, &v), sum) in row.iter_mut().zip(values).zip(&mut sums) {
                    *sum = sum.plus(v.wide());
                    *o = O::fit(sum.exact()).unwrap_or_else(|| {
                        good.store(false, Relaxed);
                        O::default()
                    });
                }
            }
        }
        Ok(())
    })?;
    Ok(good.into_inner().then_some(out))
}

/// For each element of rows of `size` the product of the others in its row.
pub(crate) fn products_of_others<T: Number>(values: &[T], size: usize) -> Result<Vec<T>> {
    let mut out = memory::full(values.len(), T::ONE)?;
    if size == 0 {
        return Ok(out);
    }
    threads::for_chunks_of(&mut out, size * (GRAIN / size).max(1), values.len(), |start, out| {
        for (out, row) in out.chunks_mut(size).zip(values[start..].chunks(size)) {
            // The product of what comes before, times that of what comes after.
            let (mut before, mut after) = (T::ONE, T::ONE);
            for (o, &v) in out.iter_mut().zip(row) {
                *o = before;
                before *= v;
            }
            for (o, &v) in out.iter_mut().zip(row).rev() {
                *o *= after;
                after *= v;
            }
        }
    })?;
    Ok(out)
}
