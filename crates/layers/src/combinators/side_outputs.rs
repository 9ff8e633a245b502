//! Layers one after another whose further outputs are put aside.
use super::{select, serial};
use crate::{options, options::OptionType, Count, Error, HostValue, LayerList, LayerNest, LayerRef, Result};

/// How many outputs of each layer are put aside: one number for all, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub enum SideOutputs {
    /// The same number for all layers.
    All(usize),
    /// A number for each layer.
    Each(Vec<usize>),
}

impl OptionType for SideOutputs {
    const TS: &'static str = "number | readonly number[]";
    const EXPECTED: &'static str = "a whole number of at least 0 or a list of them";
    fn parse(v: &HostValue) -> Option<Self> {
        let count = |v| Count::parse(v).map(|c| c.0);
        match v {
            HostValue::List(a) => a.iter().map(count).collect::<Option<_>>().map(SideOutputs::Each),
            v => count(v).map(SideOutputs::All),
        }
    }
    fn show(&self) -> String {
        match self {
            SideOutputs::All(n) => n.to_string(),
            SideOutputs::Each(v) => format!("{v:?}"),
        }
    }
}

options! {
    /// Applies layers one after another and puts the last outputs of each at the bottom of the stack.
    ///
    /// With one input and two outputs each, `x` goes through all layers as their first output. Their second outputs follow it, in order.
    ///
    /// Shapes: what the layers take from the stack → the stack after the last layer, then the outputs put aside.
    /// Weights: two entries for each layer: its own, and `[]` for the step that moves its outputs.
    /// State: two entries for each layer: its own, and `[]` for the step that moves its outputs.
    /// Modes: those of the layers.
    /// Errors:
    /// - `InvalidOption`: more outputs are to be put aside than a layer has, or `nSideOutputs` is a list of another length than `layers`.
    ///
    /// Source: Trax.
    /// See: `Serial`.
    /// Example:
    /// ```ts
    /// const layer = tl.SerialWithSideOutputs([tl.Dup(), tl.Dup()]);
    /// layer([7]); // → [Tensor int32[1] [7], Tensor int32[1] [7], Tensor int32[1] [7]]
    /// ```
    pub struct SideOutputsOptions for "SerialWithSideOutputs" ("layers") {
        /// Layers, one after another.
        layers "layers": LayerList,
        /// How many outputs of each layer are put aside: a number for all, or one for each.
        n_side_outputs "nSideOutputs": SideOutputs = SideOutputs::All(1),
    }
}

pub(super) fn build(o: SideOutputsOptions) -> Result<LayerRef> {
    let layers = o
        .layers
        .0
        .into_iter()
        .map(|n| match n {
            LayerNest::One(l) => Ok(l),
            _ => Err(Error::option("SerialWithSideOutputs: `layers` must be a flat list of layers")),
        })
        .collect::<Result<Vec<_>>>()?;
    serial_with_side_outputs(layers, &o.n_side_outputs)
}

/// Layers one after another, the last outputs of each put to the bottom of the stack.
///
/// # Errors
/// `InvalidOption` when more outputs are put aside than a layer has, or the list is not as long as the layers.
pub fn serial_with_side_outputs(layers: Vec<LayerRef>, aside: &SideOutputs) -> Result<LayerRef> {
    let aside = match aside {
        SideOutputs::All(n) => vec![*n; layers.len()],
        SideOutputs::Each(v) if v.len() == layers.len() => v.clone(),
        SideOutputs::Each(v) => {
            return Err(Error::option(format!(
                "SerialWithSideOutputs: `nSideOutputs` has {} numbers for {} layers",
                v.len(),
                layers.len()
            )))
        }
    };
    // What the layers need of the stack, then the moves that keep it in order.
    let (mut n_in, mut have) = (0, 0);
    for (layer, &side) in layers.iter().zip(&aside) {
        let a = layer.arity();
        if side > a.n_out {
            return Err(Error::option(format!(
                "SerialWithSideOutputs: {side} outputs of {} are to be put aside, it has {}",
                layer.base().name,
                a.n_out
            )));
        }
        n_in += a.n_in.saturating_sub(have);
        have = have.max(a.n_in) - a.n_in + a.n_out - side;
    }
    let mut size = n_in;
    let mut all = Vec::with_capacity(2 * layers.len());
    for (layer, side) in layers.into_iter().zip(aside) {
        let a = layer.arity();
        size = size - a.n_in + a.n_out;
        let order: Vec<usize> = (0..a.n_out - side).chain(a.n_out..size).chain(a.n_out - side..a.n_out).collect();
        all.push(layer);
        all.push(select(&order, None)?);
    }
    Ok(serial(all))
}
