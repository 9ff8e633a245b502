//! Weights and state on devices.
use crate::{hold, refuse_quantized, refuse_shared, stack::deep, LayerRef, Result, Store, Tree};
use std::collections::HashMap;
use tallow_tensor::{Device, Tensor};

/// Moves the weights and state that a layer holds, and everything below it, to a device: all or nothing. What several layers share is moved once.
///
/// # Errors
/// `InvalidArgument` for weights that other threads share, or that are quantized; `OutOfMemory`.
pub fn move_to(layer: &LayerRef, device: &Device) -> Result<()> {
    let (weights, state) = crate::held(layer);
    if is_on(&weights, device) && is_on(&state, device) {
        return Ok(());
    }
    refuse_shared("to", layer)?;
    refuse_quantized("to", layer)?;
    let mut moving = Moving { device, moved: HashMap::new() };
    let (weights, state) = (moving.store(&weights)?, moving.store(&state)?);
    hold(layer, Some(&weights), Some(&state));
    Ok(())
}

/// What was made on the CPU, on a device.
pub(crate) fn placed((weights, state): (Store, Store), device: &Device) -> Result<(Store, Store)> {
    if is_on(&weights, device) && is_on(&state, device) {
        return Ok((weights, state));
    }
    let mut moving = Moving { device, moved: HashMap::new() };
    Ok((moving.store(&weights)?, moving.store(&state)?))
}

fn is_on(store: &Store, device: &Device) -> bool {
    fn on(tree: &Tree<Tensor>, device: &Device) -> bool {
        deep(|| match tree {
            Tree::Leaf(t) => t.device().same_device(device),
            Tree::Tuple(v) | Tree::Rows(v) => v.iter().all(|t| on(t, device)),
            Tree::Dict(v) => v.iter().all(|(_, t)| on(t, device)),
            // These two are held on the CPU.
            Tree::Past(_) | Tree::Quantized(_) => device.is_cpu(),
            // Whoever goes on with it brings it to where the new positions are.
            Tree::Cached | Tree::Filled(_) => true,
        })
    }
    store.values().all(|tree| on(tree, device))
}

/// Tensors on their way.
struct Moving<'a> {
    device: &'a Device,
    /// What was moved, by its storage. It is held, so that no other takes its place meanwhile.
    moved: HashMap<usize, Vec<(Tensor, Tensor)>>,
}

impl Moving<'_> {
    fn store(&mut self, store: &Store) -> Result<Store> {
        store.iter().map(|(id, tree)| Ok((*id, tree.try_map(&mut |t| self.tensor(t))?))).collect()
    }
    fn tensor(&mut self, t: &Tensor) -> Result<Tensor> {
        let alike = self.moved.entry(t.storage_id()).or_default();
        if let Some((_, moved)) = alike.iter().find(|(from, _)| from.is_same(t)) {
            return Ok(moved.clone());
        }
        let moved = t.to_device(self.device)?.detach();
        alike.push((t.clone(), moved.clone()));
        Ok(moved)
    }
}
