//! New weights and slots, element by element.
use crate::{
    cancel::shielded,
    kernels::{
        fill::{filled, Unfilled},
        real::{simd, Float},
    },
    memory,
    threads::{for_tasks, GRAIN},
    Result,
};
use std::mem::take;

/// What an optimizer does to one weight `p` of gradient `g` and to its `N` slots.
pub(crate) trait Rule<A, const N: usize>: Copy + Send + Sync {
    /// The new weight; the new slots are written over the old ones.
    fn step(self, p: A, g: A, slots: &mut [A; N]) -> A;
}

/// Writes new weights and slots over the old ones: all of them, whatever is cancelled meanwhile.
///
/// # Errors
/// `OutOfMemory`, before anything is written.
///
/// # Panics
/// Unless all are equally long.
pub(crate) fn update<T: Float, R: Rule<T::Wide, N>, const N: usize>(
    p: &mut [T],
    g: &[T::Wide],
    slots: [&mut [T::Wide]; N],
    rule: R,
) -> Result<()> {
    check(p.len(), g, &slots);
    run(p.chunks_mut(GRAIN).map(Weights::Over), g, slots, rule)
}

/// The new weights; new slots are written over the old ones, as in [`update`].
///
/// # Errors
/// `OutOfMemory`, before anything is written.
///
/// # Panics
/// Unless all are equally long.
pub(crate) fn renewed<T: Float, R: Rule<T::Wide, N>, const N: usize>(
    p: &[T],
    g: &[T::Wide],
    slots: [&mut [T::Wide]; N],
    rule: R,
) -> Result<Vec<T>> {
    check(p.len(), g, &slots);
    let fill = |new: &mut Unfilled<T>| {
        run(p.chunks(GRAIN).zip(new.chunks_mut(GRAIN)).map(|(old, new)| Weights::Beside(old, new)), g, slots, rule)
    };
    // SAFETY: the parts cover the weights, all operands are equally long, and `update_part` writes each weight.
    unsafe { filled(p.len(), fill) }
}

fn check<A, const N: usize>(n: usize, g: &[A], slots: &[&mut [A]; N]) {
    assert!(g.len() == n && slots.iter().all(|s| s.len() == n), "a gradient and each slot for each weight");
}

/// Weights, and where the new ones go.
enum Weights<'a, T> {
    Over(&'a mut [T]),
    Beside(&'a [T], &'a mut Unfilled<T>),
}

fn run<'a, T: Float, R: Rule<T::Wide, N>, const N: usize>(
    weights: impl ExactSizeIterator<Item = Weights<'a, T>>,
    g: &[T::Wide],
    mut slots: [&mut [T::Wide]; N],
    rule: R,
) -> Result<()> {
    let tasks = memory::collect(weights.zip(g.chunks(GRAIN)).map(|(p, g)| {
        let parts = slots.each_mut().map(|slot| {
            let (part, rest) = take(slot).split_at_mut(g.len());
            *slot = rest;
            part
        });
        (p, g, parts)
    }))?;
    shielded(|| for_tasks(tasks, g.len(), |(p, g, slots)| update_part::<T, R, N>(p, g, slots, rule)))
}

simd! {
fn update_part<T: Float, R: Rule<T::Wide, N>, const N: usize>(
    p: Weights<'_, T>,
    g: &[T::Wide],
    slots: [&mut [T::Wide]; N],
    rule: R,
) {
    let n = g.len();
    let mut slots = slots.map(|slot| &mut slot[..n]);
    let mut one = |i: usize, p: T| {
        let mut values = std::array::from_fn(|k| slots[k][i]);
        let new = rule.step(p.up(), g[i], &mut values);
        for (slot, value) in slots.iter_mut().zip(values) {
            slot[i] = value;
        }
        T::down(new)
    };
    match p {
        Weights::Over(p) => {
            for (i, p) in p.iter_mut().enumerate().take(n) {
                *p = one(i, *p);
            }
        }
        Weights::Beside(old, new) => {
            for (i, (&p, new)) in old.iter().zip(new).enumerate().take(n) {
                new.write(one(i, p));
            }
        }
    }
}
}
