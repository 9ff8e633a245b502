//! Trees of several layers as one flat list.
use crate::{framework::held::Read, Error, ErrorKind, LayerId, Result, Store, Tree};
use tallow_tensor::Tensor;

/// Trees of several layers, taken apart into their leaves and put together again.
#[derive(Debug, Clone)]
pub(crate) struct Pack(Vec<(LayerId, Tree<()>)>);

impl Pack {
    /// How the trees lie that `find` has of `ids`, and their leaves.
    pub(crate) fn of<'a>(ids: &[LayerId], find: impl Fn(LayerId) -> Option<Read<'a>>) -> (Self, Vec<Tensor>) {
        let mut leaves = Vec::new();
        let shapes = ids.iter().filter_map(|id| {
            let tree = find(*id)?;
            leaves.extend(tree.leaves_in_place().into_iter().cloned());
            Some((*id, tree.map(&mut |_| ())))
        });
        let pack = Self(shapes.collect());
        (pack, leaves)
    }
    /// The layer of each leaf, and the leaf's place in its tree.
    pub(crate) fn places(&self) -> Vec<(LayerId, usize)> {
        self.0.iter().flat_map(|(id, tree)| (0..tree.leaves_in_place().len()).map(|i| (*id, i))).collect()
    }
    /// The trees, from leaves in the same order.
    ///
    /// # Errors
    /// `Internal` if there are too few.
    pub(crate) fn store(&self, leaves: &[Tensor]) -> Result<Store> {
        let mut next = leaves.iter();
        let missing = || Error::new(ErrorKind::Internal, "fewer leaves than the tree they came from");
        let mut fill = |tree: &Tree<()>| tree.try_map(&mut |()| next.next().cloned().ok_or_else(missing));
        self.0.iter().map(|(id, tree)| Ok((*id, fill(tree)?))).collect()
    }
}
