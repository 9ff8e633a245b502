//! The rules of optimizers that look at one weight at a time. `ops::optimizer` writes them out as formulas.
use super::Rule;
use crate::kernels::real::Real;

/// A rule given gradients that are scaled, then kept from `-limit` to `limit`.
#[derive(Clone, Copy)]
pub(crate) struct Clipped<A, R> {
    pub(crate) scale: A,
    pub(crate) limit: A,
    pub(crate) rule: R,
}

impl<A: Real, R: Rule<A, N>, const N: usize> Rule<A, N> for Clipped<A, R> {
    #[inline(always)]
    fn step(self, p: A, g: A, slots: &mut [A; N]) -> A {
        let g = g * self.scale;
        let g = if g > self.limit { self.limit } else { g };
        let g = if g < -self.limit { -self.limit } else { g };
        self.rule.step(p, g, slots)
    }
}

/// Down the gradient: `p ← (1 − decay) p − lr (g + l2 p)`.
#[derive(Clone, Copy)]
pub(crate) struct Descent<A> {
    pub(crate) lr: A,
    pub(crate) decay: A,
    pub(crate) l2: A,
}

impl<A: Real> Rule<A, 0> for Descent<A> {
    #[inline(always)]
    fn step(self, p: A, g: A, _: &mut [A; 0]) -> A {
        (A::of(1.0) - self.decay) * p - self.lr * (g + self.l2 * p)
    }
}

/// Down a running sum of gradients.
#[derive(Clone, Copy)]
pub(crate) struct Momentum<A> {
    pub(crate) lr: A,
    pub(crate) mass: A,
    /// What each gradient adds to the sum.
    pub(crate) share: A,
    pub(crate) decay: A,
    pub(crate) l2: A,
    pub(crate) nesterov: bool,
}

impl<A: Real> Rule<A, 1> for Momentum<A> {
    #[inline(always)]
    fn step(self, p: A, g: A, [m]: &mut [A; 1]) -> A {
        let g = g + self.l2 * p;
        let share = self.share * g;
        *m = self.mass * *m + share;
        let down = if self.nesterov { self.mass * *m + share } else { *m };
        (A::of(1.0) - self.decay) * p - self.lr * down
    }
}

/// Gradients over the root of their running mean square.
#[derive(Clone, Copy)]
pub(crate) struct RmsProp<A> {
    pub(crate) lr: A,
    pub(crate) gamma: A,
    pub(crate) eps: A,
}

impl<A: Real> Rule<A, 1> for RmsProp<A> {
    #[inline(always)]
    fn step(self, p: A, g: A, [v]: &mut [A; 1]) -> A {
        *v = *v * self.gamma + g * g * (A::of(1.0) - self.gamma);
        p - self.lr * g / (v.sqrt() + self.eps)
    }
}

/// The running mean of gradients over the root of their running mean square.
#[derive(Clone, Copy)]
pub(crate) struct Adam<A> {
    /// lr / (1 − b1^(step + 1)): one division for all weights.
    pub(crate) lr: A,
    pub(crate) b1: A,
    pub(crate) b2: A,
    pub(crate) eps: A,
    pub(crate) decay: A,
    /// 1 / (1 − b2^(step + 1)).
    pub(crate) correction: A,
}

impl<A: Real> Rule<A, 2> for Adam<A> {
    #[inline(always)]
    fn step(self, p: A, g: A, [m, v]: &mut [A; 2]) -> A {
        let one = A::of(1.0);
        *m = (one - self.b1) * g + self.b1 * *m;
        *v = (one - self.b2) * (g * g) + self.b2 * *v;
        let down = self.lr * *m / ((*v * self.correction).sqrt() + self.eps);
        (one - self.decay) * p - down
    }
}

/// The sign of a running mean of gradients.
#[derive(Clone, Copy)]
pub(crate) struct Lion<A> {
    pub(crate) lr: A,
    pub(crate) b1: A,
    pub(crate) b2: A,
    pub(crate) decay: A,
}

impl<A: Real> Rule<A, 1> for Lion<A> {
    #[inline(always)]
    fn step(self, p: A, g: A, [m]: &mut [A; 1]) -> A {
        let (one, zero) = (A::of(1.0), A::default());
        let c = self.b1 * *m + (one - self.b1) * g;
        let sign = if c > zero {
            one
        } else if c < zero {
            -one
        } else {
            c
        };
        *m = self.b2 * *m + (one - self.b2) * g;
        (one - self.decay) * p - self.lr * sign
    }
}
