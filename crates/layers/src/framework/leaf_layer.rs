//! Leaves as layers.
use crate::{
    custom_gradient,
    framework::{context::Reversal, layer::Reversible, leaf::Reverse, mode::HostMode, precision, rows, tree::NOTHING},
    Arity, Base, Call, Cx, ErrorKind, InitCx, Layer, LayerNest, LayerRef, Leaf, Rebuild, Result, ReverseCall, Sequence,
    TensorSpec, Traits, Tree,
};
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

/// A [`Leaf`] as a [`Layer`].
#[derive(Debug)]
pub struct LeafLayer<L> {
    base: Base,
    leaf: L,
}

/// Makes a layer of a leaf, with a new identity.
pub fn leaf<L: Leaf>(leaf: L) -> LayerRef {
    let base = Base::new(leaf.name());
    made(base, leaf)
}

/// [`leaf`] under another printed name than its own.
pub(crate) fn leaf_named<L: Leaf>(name: String, leaf: L) -> LayerRef {
    made(Base::new(name), leaf)
}

/// [`leaf`] with what to print as its substructure.
pub(crate) fn leaf_printing<L: Leaf>(leaf: L, to_print: Option<Vec<LayerNest>>) -> LayerRef {
    let base = Base { to_print, ..Base::new(leaf.name()) };
    made(base, leaf)
}

fn made<L: Leaf>(base: Base, mut leaf: L) -> LayerRef {
    if let Some(mode) = leaf.mode() {
        base.made_in(*mode);
    }
    Arc::new(LeafLayer { base, leaf })
}

impl<L: Leaf> Layer for LeafLayer<L> {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.leaf.arity()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.leaf.signature(inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], key: Key) -> Result<()> {
        cx.set(self.base.id, self.leaf.init(inputs, key)?);
        Ok(())
    }
    fn forward(&self, cx: &mut Cx, mut xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let w = cx.weights(self.base.id);
        let abilities = self.leaf.abilities();
        let narrow = match abilities.sequence {
            // What is carried from step to step keeps its type.
            Some(_) => None,
            None => precision::narrow(self.leaf.traits(), &mut xs, &w)?,
        };
        let w = narrow.as_ref().unwrap_or(&w);
        let key = if self.leaf.traits().draws_in_step { cx.common_key(key) } else { key };
        let left = cx.left(self.base.id);
        let run = |call: Call| match (abilities.repeat, left) {
            (Some(leaf), Some(left)) => leaf.repeat(call, left),
            _ => self.leaf.forward(call),
        };
        if let (Some(leaf), Some(n), true) = (abilities.together, cx.streams(), self.leaf.traits().goes_on) {
            let states = rows::states(cx, self.base.id, n);
            let (ys, states) = leaf.together(Call { xs: &xs, w, s: &NOTHING, key }, &states)?;
            cx.set_state(self.base.id, Tree::Rows(states));
            return Ok(ys);
        }
        let s = cx.state(self.base.id);
        let out = if abilities.gradient.is_some() && tallow_tensor::is_recording() {
            custom_gradient::forward(&self.leaf, run, &xs, w, &s, key)?
        } else {
            run(Call { xs: &xs, w, s: &s, key })?
        };
        drop(s);
        if let Some(s) = out.state {
            let s = if narrow.is_some() { precision::as_wide_as(s, &cx.state(self.base.id))? } else { s };
            cx.set_state(self.base.id, s);
        }
        Ok(out.ys)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let mut leaf = self.leaf.clone();
        if let (Some(mode), Some(place)) = (r.mode, leaf.mode()) {
            *place = mode;
        }
        Arc::new(Self { base: self.base.rebuilt_keeping(r, leaf.traits().keeps_state), leaf })
    }
    fn traits(&self) -> Traits {
        let traits = self.leaf.traits();
        let abilities = self.leaf.abilities();
        let own_backward = traits.own_backward || abilities.gradient.is_some();
        Traits { own_backward, alone: traits.alone || traits.goes_on && abilities.together.is_none(), ..traits }
    }
    fn reversible(&self) -> Option<&dyn Reversible> {
        self.leaf.abilities().reversal.map(|_| self as &dyn Reversible)
    }
    fn host_mode(&self) -> Option<&HostMode> {
        self.leaf.abilities().host_mode
    }
    fn sequence(&self, cx: &Cx, sliced: &[Tensor], carry: &[Tensor]) -> Result<Option<[Vec<Tensor>; 2]>> {
        match self.leaf.abilities().sequence {
            Some(leaf) => leaf.sequence(Sequence { sliced, carry, w: &cx.weights(self.base.id) }),
            None => Ok(None),
        }
    }
}

impl<L: Leaf> LeafLayer<L> {
    fn reversal(&self) -> Result<&dyn Reverse> {
        self.leaf
            .abilities()
            .reversal
            .ok_or_else(|| crate::Error::new(ErrorKind::Internal, "this layer is not reversible"))
    }
}

impl<L: Leaf> Reversible for LeafLayer<L> {
    fn reverse(&self, r: &mut Reversal, ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let ([s, new_state], w) = (r.states(self.base.id), r.weights(self.base.id));
        self.reversal()?.reverse(ReverseCall { ys: &ys, w: &w, s: &s, new_state: &new_state, key })
    }
    fn reverse_and_grad(
        &self,
        r: &mut Reversal,
        ys: Vec<Tensor>,
        cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        let ([s, new_state], w) = (r.states(self.base.id), r.weights(self.base.id));
        let call = ReverseCall { ys: &ys, w: &w, s: &s, new_state: &new_state, key };
        match self.reversal()?.reverse_and_grad(call, &cts)? {
            Some(found) => {
                custom_gradient::check(&found.of_xs, &found.xs, &found.of_w, &w)?;
                r.add_gradients(self.base.id, found.of_w.leaves_in_place().into_iter().cloned())?;
                Ok((found.xs, found.of_xs))
            }
            None => r.reverse_then_differentiate(self, ys, cts, key),
        }
    }
}
