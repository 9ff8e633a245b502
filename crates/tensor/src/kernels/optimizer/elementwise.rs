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

/// Elements that are updated at a time: in arrays of their own, so that the compiler sees that none is another's and computes many at once.
const BLOCK: usize = 64;

simd! {
fn update_part<T: Float, R: Rule<T::Wide, N>, const N: usize>(
    mut p: Weights<'_, T>,
    g: &[T::Wide],
    mut slots: [&mut [T::Wide]; N],
    rule: R,
) {
    let zero = <T::Wide>::default();
    let (mut weights, mut gradients, mut held) = ([zero; BLOCK], [zero; BLOCK], [[zero; BLOCK]; N]);
    for start in (0..g.len()).step_by(BLOCK) {
        let at = start..g.len().min(start + BLOCK);
        let n = at.len();
        let old = match &p {
            Weights::Over(p) => &p[at.clone()],
            Weights::Beside(old, _) => &old[at.clone()],
        };
        for (weight, old) in weights.iter_mut().zip(old) {
            *weight = old.up();
        }
        gradients[..n].copy_from_slice(&g[at.clone()]);
        for (held, slot) in held.iter_mut().zip(&slots) {
            held[..n].copy_from_slice(&slot[at.clone()]);
        }
        // What is left of an earlier block behind the last one is computed, too, and not written.
        for i in 0..BLOCK {
            let mut values = std::array::from_fn(|k| held[k][i]);
            weights[i] = rule.step(weights[i], gradients[i], &mut values);
            for k in 0..N {
                held[k][i] = values[k];
            }
        }
        match &mut p {
            Weights::Over(p) => {
                for (p, &new) in p[at.clone()].iter_mut().zip(&weights) {
                    *p = T::down(new);
                }
            }
            Weights::Beside(_, p) => {
                for (p, &new) in p[at.clone()].iter_mut().zip(&weights) {
                    p.write(T::down(new));
                }
            }
        }
        for (held, slot) in held.iter().zip(&mut slots) {
            slot[at.clone()].copy_from_slice(&held[..n]);
        }
    }
}
}
