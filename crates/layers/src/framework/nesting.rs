//! Weights and state as Trax nests them, from stores and into them.
use crate::{
    framework::tree::NOTHING, stack::deep, Error, ErrorKind, LayerRef, Loader, Nesting, Phase, Result, Store, Tree,
    View,
};
use std::collections::HashSet;
use tallow_tensor::Tensor;

impl View<'_> {
    /// Weights of a sublayer.
    pub fn weights_of(&mut self, layer: &LayerRef) -> Tree<Tensor> {
        if self.seen.insert(layer.base().id) {
            deep(|| match layer.nesting() {
                Nesting::NoWeights => Tree::EMPTY,
                Nesting::Own(nested) => nested.view_weights(self),
                _ => self.plain(layer, Self::weights_of),
            })
        } else {
            Tree::Cached
        }
    }
    /// State of a sublayer.
    pub fn state_of(&mut self, layer: &LayerRef) -> Tree<Tensor> {
        if self.seen.insert(layer.base().id) {
            deep(|| match (layer.nesting(), layer.sublayers()) {
                (Nesting::Own(nested), _) => nested.view_state(self),
                (Nesting::OwnStateFirst, [inner]) => Tree::Tuple(vec![self.own(layer.base().id), self.state_of(inner)]),
                (Nesting::OwnStateLast, [inner]) => Tree::Tuple(vec![self.state_of(inner), self.own(layer.base().id)]),
                _ => self.plain(layer, Self::state_of),
            })
        } else {
            Tree::Cached
        }
    }
    /// What a layer without sublayers has, or the views of the sublayers.
    fn plain(&mut self, layer: &LayerRef, of: fn(&mut Self, &LayerRef) -> Tree<Tensor>) -> Tree<Tensor> {
        match layer.sublayers() {
            [] => self.own(layer.base().id),
            subs => Tree::Tuple(subs.iter().map(|l| of(self, l)).collect()),
        }
    }
}

/// Weights as Trax nests them.
pub fn view_weights(layer: &LayerRef, store: &Store) -> Tree<Tensor> {
    View { store, seen: HashSet::new() }.weights_of(layer)
}

/// State as Trax nests it.
///
/// # Errors
/// `OutOfMemory`: what attention has read is shown in its full size.
pub fn view_state(layer: &LayerRef, store: &Store) -> Result<Tree<Tensor>> {
    View { store, seen: HashSet::new() }.state_of(layer).shown()
}

/// State of each instance with tensors alone, as Trax has it ([`Tree::shown`]).
///
/// # Errors
/// `OutOfMemory`: what attention has read is shown in its full size.
pub fn shown(state: Store) -> Result<Store> {
    state.into_iter().map(|(id, tree)| Ok((id, tree.shown()?))).collect()
}

impl Loader {
    /// Weights of a sublayer; the cached marker leaves what stands.
    ///
    /// # Errors
    /// `WeightsMismatch` with the sublayer's path.
    pub fn weights_of(&mut self, layer: &LayerRef, tree: &Tree<Tensor>) -> Result<()> {
        self.sub(layer, tree, |l, s| match l.nesting() {
            Nesting::NoWeights if tree.is_empty() => Ok(()),
            Nesting::NoWeights => {
                let name = &l.base().name;
                Err(Error::new(ErrorKind::WeightsMismatch, format!("{name} has no weights, got {}", tree.describe())))
            }
            Nesting::Own(nested) => nested.load_weights(tree, s),
            _ => s.plain(l, tree, Self::weights_of),
        })
    }
    /// State of a sublayer; the cached marker leaves what stands.
    ///
    /// # Errors
    /// `WeightsMismatch` with the sublayer's path.
    pub fn state_of(&mut self, layer: &LayerRef, tree: &Tree<Tensor>) -> Result<()> {
        self.sub(layer, tree, |l, s| {
            let (own, inner) = match l.nesting() {
                Nesting::Own(nested) => return nested.load_state(tree, s),
                Nesting::OwnStateFirst => s.pair(l.base(), tree)?.into(),
                Nesting::OwnStateLast => {
                    let [inner, own] = s.pair(l.base(), tree)?;
                    (own, inner)
                }
                Nesting::Plain | Nesting::NoWeights => return s.plain(l, tree, Self::state_of),
            };
            s.own(l.base().id, own)?;
            l.sublayers().iter().try_for_each(|l| s.state_of(l, inner))
        })
    }
    /// What a layer without sublayers has, or what its sublayers have.
    fn plain(
        &mut self,
        layer: &LayerRef,
        tree: &Tree<Tensor>,
        load: fn(&mut Self, &LayerRef, &Tree<Tensor>) -> Result<()>,
    ) -> Result<()> {
        match layer.sublayers() {
            [] => self.own(layer.base().id, tree),
            subs => self.each(layer.base(), tree, subs, load),
        }
    }
    fn sub(
        &mut self,
        layer: &LayerRef,
        tree: &Tree<Tensor>,
        load: impl FnOnce(&LayerRef, &mut Self) -> Result<()>,
    ) -> Result<()> {
        if matches!(tree, Tree::Cached) {
            return Ok(());
        }
        deep(|| load(layer, self)).map_err(|e| layer.base().within(e, Phase::Init, Vec::new))
    }
    /// The two elements of a pair; both `()` if the tree is.
    ///
    /// # Errors
    /// `WeightsMismatch` for anything else.
    fn pair<'a>(&self, base: &crate::Base, tree: &'a Tree<Tensor>) -> Result<[&'a Tree<Tensor>; 2]> {
        match tree {
            Tree::Tuple(v) if v.is_empty() => Ok([&NOTHING, &NOTHING]),
            Tree::Tuple(v) if v.len() == 2 => Ok([&v[0], &v[1]]),
            other => Err(Error::new(
                ErrorKind::WeightsMismatch,
                format!("the state of {} is a pair, but got {}", base.name, other.describe()),
            )),
        }
    }
    /// One element of a tuple for each sublayer. `()` leaves all of them without.
    ///
    /// # Errors
    /// `WeightsMismatch` when the tuple has another length.
    pub(crate) fn each(
        &mut self,
        base: &crate::Base,
        tree: &Tree<Tensor>,
        subs: &[LayerRef],
        load: fn(&mut Self, &LayerRef, &Tree<Tensor>) -> Result<()>,
    ) -> Result<()> {
        match tree {
            Tree::Tuple(v) if v.is_empty() => Ok(()),
            Tree::Tuple(v) if v.len() == subs.len() => {
                subs.iter().zip(v).try_for_each(|(layer, tree)| load(self, layer, tree))
            }
            other => Err(Error::new(
                ErrorKind::WeightsMismatch,
                format!("{} has {} sublayers, but got {}", base.name, subs.len(), other.describe()),
            )),
        }
    }
}

/// Weights nested as Trax does, as a store.
///
/// # Errors
/// `WeightsMismatch` when the nesting does not fit the layer.
pub fn load_weights(layer: &LayerRef, tree: &Tree<Tensor>) -> Result<Store> {
    let mut l = Loader::default();
    l.weights_of(layer, tree)?;
    Ok(l.store)
}

/// State nested as Trax does, as a store.
///
/// # Errors
/// `WeightsMismatch` when the nesting does not fit the layer.
pub fn load_state(layer: &LayerRef, tree: &Tree<Tensor>) -> Result<Store> {
    let mut l = Loader::default();
    l.state_of(layer, tree)?;
    Ok(l.store)
}
