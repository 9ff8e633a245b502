//! Leaves as layers.
use crate::{
    framework::{context::Reversal, layer::Reversible},
    Arity, Base, Call, Cx, InitCx, Layer, LayerNest, LayerRef, Leaf, Mode, Rebuild, ReplicaState, Result, ReverseCall,
    Sequence, StateForm, TensorSpec,
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
    leaf_printing(leaf, None)
}

/// [`leaf`] under another printed name than its own.
pub(crate) fn leaf_named<L: Leaf>(name: String, leaf: L) -> LayerRef {
    Arc::new(LeafLayer { base: Base::new(name), leaf })
}

/// [`leaf`] with what to print as its substructure.
pub(crate) fn leaf_printing<L: Leaf>(leaf: L, to_print: Option<Vec<LayerNest>>) -> LayerRef {
    Arc::new(LeafLayer { base: Base { to_print, ..Base::new(leaf.name()) }, leaf })
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
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let w = cx.weights(self.base.id);
        let s = cx.state(self.base.id);
        let key = if self.leaf.draws_in_step() { cx.common_key(key) } else { key };
        let left = cx.left(self.base.id);
        let run = |call: Call| match left {
            Some(left) => self.leaf.repeat(call, left),
            None => self.leaf.forward(call),
        };
        let out = if self.leaf.has_backward() && tallow_tensor::is_recording() {
            crate::custom_gradient::forward(&self.leaf, run, &xs, w, &s, key)?
        } else {
            run(Call { xs: &xs, w, s: &s, key })?
        };
        if let Some(s) = out.state {
            cx.set_state(self.base.id, s);
        }
        Ok(out.ys)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let leaf = r.mode.map_or_else(|| self.leaf.clone(), |m| self.leaf.with_mode(m));
        Arc::new(Self { base: self.base.rebuilt_keeping(r, leaf.keeps_state()), leaf })
    }
    fn sequence(&self, cx: &Cx, sliced: &[Tensor], carry: &[Tensor]) -> Result<Option<[Vec<Tensor>; 2]>> {
        self.leaf.sequence(Sequence { sliced, carry, w: cx.weights(self.base.id) })
    }
    fn open(&self) -> bool {
        self.leaf.open()
    }
    fn has_backward(&self) -> bool {
        self.leaf.has_backward() || self.leaf.is_reversible() || self.leaf.fused_backward()
    }
    fn reversible(&self) -> Option<&dyn Reversible> {
        self.leaf.is_reversible().then_some(self)
    }
    fn calls_host(&self) -> bool {
        self.leaf.calls_host()
    }
    fn draws_in_step(&self) -> bool {
        self.leaf.draws_in_step()
    }
    fn mode(&self) -> Option<Mode> {
        self.leaf.mode().or_else(|| self.base.mode())
    }
    fn set_mode(&self, mode: Mode) -> bool {
        self.leaf.set_mode(mode)
    }
    fn goes_on(&self) -> bool {
        self.leaf.goes_on()
    }
    fn replica_state(&self) -> ReplicaState {
        self.leaf.replica_state()
    }
    fn state_form(&self) -> StateForm {
        self.leaf.state_form()
    }
    fn is_driven(&self) -> bool {
        self.leaf.is_driven()
    }
}

impl<L: Leaf> Reversible for LeafLayer<L> {
    fn reverse(&self, r: &mut Reversal, ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let ([s, new_state], w) = (r.states(self.base.id), r.weights(self.base.id));
        self.leaf.reverse(ReverseCall { ys: &ys, w: &w, s: &s, new_state: &new_state, key })
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
        match self.leaf.reverse_and_grad(call, &cts)? {
            Some(found) => {
                crate::custom_gradient::check(&found.of_xs, &found.xs, &found.of_w, &w)?;
                r.add_gradients(self.base.id, found.of_w.leaves_in_place().into_iter().cloned())?;
                Ok((found.xs, found.of_xs))
            }
            None => r.reverse_then_differentiate(self, ys, cts, key),
        }
    }
}
