//! Making weights and state.
use crate::{
    apply::{remembering, taken},
    for_each_instance, signature,
    stack::deep,
    LayerId, LayerRef, Local, Phase, Result, Store, TensorSpec,
};
use std::collections::{HashMap, HashSet};
use tallow_tensor::random::Key;

/// What initialization runs in.
#[derive(Debug, Default)]
pub struct InitCx {
    keys: HashMap<LayerId, Key>,
    done: HashSet<LayerId>,
    /// Weights made so far.
    pub weights: Store,
    /// State made so far.
    pub state: Store,
}

impl InitCx {
    // As in Trax: keys are dealt to the whole tree first, so a layer that occurs twice keeps the key of its last place.
    fn deal(&mut self, layer: &LayerRef, key: Key) {
        self.keys.insert(layer.base().id, key);
        let subs = layer.sublayers();
        if !subs.is_empty() {
            for (sub, key) in subs.iter().zip(key.split(subs.len())) {
                deep(|| self.deal(sub, key));
            }
        }
    }
    /// Sets the weights and state of a layer.
    pub fn set(&mut self, id: LayerId, local: Local) {
        self.weights.insert(id, local.weights);
        self.state.insert(id, local.state);
    }
    /// Initializes a sublayer, unless this instance already was.
    ///
    /// # Errors
    /// The layer's own error with this layer added to its path.
    pub fn init(&mut self, layer: &LayerRef, inputs: &[TensorSpec]) -> Result<()> {
        let id = layer.base().id;
        if !self.done.insert(id) {
            return Ok(());
        }
        let key = self.keys.get(&id).copied().unwrap_or(Key::new(0));
        taken(layer, inputs.len())
            .and_then(|n| deep(|| layer.init(self, &inputs[..n], key)))
            .map_err(|e| e.within(&layer.base().name, id, Phase::Init, || inputs.to_vec()))?;
        // A series of no layers has nothing to set, but must not look as if it had still to be initialized.
        if layer.sublayers().is_empty() && !self.state.contains_key(&id) {
            self.set(id, Local::EMPTY);
        }
        Ok(())
    }
    /// Initializes layers in series on a stack of signatures, which it returns as they leave it.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn init_stack(&mut self, layers: &[LayerRef], inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let mut stack = inputs.to_vec();
        for layer in layers {
            let rest = stack.split_off(layer.arity().n_in.min(stack.len()));
            self.init(layer, &stack)?;
            stack = signature(layer, &stack)?;
            stack.extend(rest);
        }
        Ok(stack)
    }
}

/// Makes weights and state of a layer and everything below it. Pure: slots are not touched.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn init(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    let mut cx = InitCx::default();
    cx.deal(layer, key);
    remembering(|| cx.init(layer, inputs))?;
    Ok((cx.weights, cx.state))
}

/// Weights and state as [`init`] would make them, but with zeros for what initializers draw: their structure, without the work.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn init_signature(layer: &LayerRef, inputs: &[TensorSpec], key: Key) -> Result<(Store, Store)> {
    crate::initializers::without_drawing(|| init(layer, inputs, key))
}

/// Adds to `state` what the layer starts with wherever an instance has none yet, as in a copy just made by [`crate::with_mode`].
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn ensure_state(layer: &LayerRef, mut state: Store, inputs: &[TensorSpec], key: Key) -> Result<Store> {
    let (mut bare, mut initialized) = (false, false);
    for_each_instance(layer, &mut |l| {
        bare |= l.sublayers().is_empty() && !state.contains_key(&l.base().id);
        initialized |= l.base().slot.weights().is_some();
    });
    if bare && initialized {
        for (id, fresh) in init_signature(layer, inputs, key)?.1 {
            state.entry(id).or_insert(fresh);
        }
    }
    Ok(state)
}
