//! Layers that can run backwards: their inputs follow from their outputs, so that a stack of them need not be remembered.
//!
//! While gradients are recorded, [`Cx::apply`](crate::Cx::apply) runs a reversible layer through [`cut`]: one operation of autodiff that keeps
//! outputs only. Its backward goes through the layers from the last to the first, computes the inputs of each anew and
//! differentiates it alone. Memory for activations does not grow with depth; time grows by about one forward pass.
//! Sources: Gomez et al. 2017, arXiv:1707.04585; Kitaev et al. 2020, arXiv:2001.04451.
mod concatenate_pair;
mod half_residual;
mod print_shape;
mod reshape;
mod select;
mod serial;

pub use crate::framework::reversal::{reverse, reverse_and_grad};
pub use crate::framework::{context::Reversal, layer::Reversible};
use crate::{entry, options::Entry, LayerRef};
pub use concatenate_pair::ReversibleConcatenatePairOptions;
pub use half_residual::{half_residual, ReversibleHalfResidualOptions};
pub use print_shape::ReversiblePrintShapeOptions;
pub use reshape::ReversibleReshapeOptions;
pub use select::{reversible_swap, ReversibleSelectOptions, ReversibleSwapOptions};
pub use serial::{reversible_serial, ReversibleSerialOptions};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("reversible", ReversibleConcatenatePairOptions, concatenate_pair::build),
    entry!("reversible", ReversibleSelectOptions, select::build),
    entry!("reversible", ReversibleSwapOptions, |_| Ok(reversible_swap())),
    entry!("reversible", ReversibleReshapeOptions, reshape::build),
    entry!("reversible", ReversiblePrintShapeOptions, print_shape::build),
    entry!("reversible", ReversibleSerialOptions, serial::build),
    entry!("reversible", ReversibleHalfResidualOptions, half_residual::build),
];
