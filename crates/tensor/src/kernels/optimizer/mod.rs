//! What optimizers do to weights and slots: each rule in one pass, and the sums that some of them need first.
mod cover;
mod elementwise;
mod factored;
mod norm;
mod rules;

pub(crate) use cover::{covered, Cover};
pub(crate) use elementwise::{renewed, update, Rule};
pub(crate) use factored::{direction, rescaled, square_means, Blocks};
pub(crate) use norm::square_sum;
pub(crate) use rules::{Adam, Clipped, Descent, Lion, Momentum, RmsProp};
