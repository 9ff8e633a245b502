//! Whether new weights or state fit those that a layer holds.
use crate::{Error, ErrorKind, LayerId, LayerRef, Phase, Result, StateForm, Store, TensorSpec, Tree};
use std::collections::HashSet;

/// Refuses weights or state (`what`) whose structure or shapes are not those that `layer` and everything below it hold.
/// Instances that hold nothing yet take anything, and so do those that hold, or are given, `()`. State may differ in what a layer
/// takes from its calls ([`crate::Layer::state_form`]).
///
/// # Errors
/// `WeightsMismatch` naming the layer by its path, and the place in its own tree.
pub fn check_fits(what: &str, layer: &LayerRef, new: &Store, held: &Store) -> Result<()> {
    fn walk(what: &str, layer: &LayerRef, stores: [&Store; 2], seen: &mut HashSet<LayerId>) -> Result<()> {
        let id = layer.base().id;
        if !seen.insert(id) {
            return Ok(());
        }
        let own = match stores.map(|s| s.get(&id)) {
            [Some(new), Some(held)] => match (what, layer.state_form()) {
                ("state", StateForm::Open) => Ok(()),
                ("state", StateForm::Sized) => same(what, &new.specs(), &held.specs(), |a, b| a.rank() == b.rank()),
                _ => same(what, &new.specs(), &held.specs(), |a, b| a.shape == b.shape),
            },
            _ => Ok(()),
        };
        own.and_then(|()| layer.sublayers().iter().try_for_each(|l| walk(what, l, stores, seen)))
            .map_err(|e| layer.base().within(e, Phase::Init, Vec::new))
    }
    walk(what, layer, [new, held], &mut HashSet::new())
}

type Alike = fn(&TensorSpec, &TensorSpec) -> bool;

fn same(place: &str, new: &Tree<TensorSpec>, held: &Tree<TensorSpec>, alike: Alike) -> Result<()> {
    // What holds nothing may be named otherwise, as a mark of what a layer did last.
    if new.is_empty() || held.is_empty() || new.leaves().is_empty() && held.leaves().is_empty() {
        return Ok(());
    }
    let wrong = || {
        let (new, held) = (new.text(), held.text());
        Error::new(ErrorKind::WeightsMismatch, format!("{place} cannot become {new}: the layer holds {held}"))
    };
    match (new, held) {
        (Tree::Leaf(a), Tree::Leaf(b)) => {
            let fits = alike(a, b) && a.dtype.is_float() == b.dtype.is_float();
            fits.then_some(()).ok_or_else(wrong)
        }
        (Tree::Tuple(a), Tree::Tuple(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(i, (a, b))| same(&format!("{place}[{i}]"), a, b, alike))
        }
        (Tree::Dict(a), Tree::Dict(b)) if a.len() == b.len() => a.iter().try_for_each(|(key, a)| {
            let (_, b) = b.iter().find(|(k, _)| k == key).ok_or_else(wrong)?;
            same(&format!("{place}.{key}"), a, b, alike)
        }),
        (Tree::Cached, Tree::Cached) => Ok(()),
        _ => Err(wrong()),
    }
}
