//! Models for inference whose large matrices of weights are held in fewer bits.
//!
//! Such a matrix is a [`Tree::Quantized`] among the weights that an instance holds, and nothing else tells a quantized model. Layers that say
//! so ([`crate::Traits::matrix`]) compute with it; others never see one.
use crate::{
    for_each_instance,
    framework::{instances::require_weights, stack::deep},
    Error, ErrorKind, LayerId, LayerRef, Mode, Phase, Rebuild, Result, Store, Tree,
};
use std::collections::HashSet;
use tallow_tensor::{
    ops::{dense, dense_quantized, Outputs, Quantization, Quantized},
    DType, Tensor,
};

/// Matrices of fewer weights stay as they are: there is nothing to win.
pub const SMALLEST: usize = 1024;

/// A matrix of weights that a layer computes with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Matrix<'a> {
    Tensor(&'a Tensor),
    Quantized(&'a Quantized),
}

impl Matrix<'_> {
    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Matrix::Tensor(w) => w.shape(),
            Matrix::Quantized(w) => w.shape(),
        }
    }
    /// What is no matrix that is quantized, such as a bias.
    ///
    /// # Errors
    /// `WeightsMismatch` for one that is.
    pub(crate) fn tensor(&self) -> Result<&Tensor> {
        match self {
            Matrix::Tensor(t) => Ok(t),
            Matrix::Quantized(w) => Err(Tree::<Tensor>::Quantized((*w).clone()).wrong("a tensor")),
        }
    }
    /// `x · w + b`.
    pub(crate) fn dense(&self, x: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
        Ok(match self {
            Matrix::Tensor(w) => dense(x, w, b)?,
            Matrix::Quantized(w) => dense_quantized(x, w, b)?,
        })
    }
}

impl Tree<Tensor> {
    /// A matrix of weights alone.
    ///
    /// # Errors
    /// `NotInitialized` if there is nothing, `WeightsMismatch` for any other structure.
    pub(crate) fn matrix(&self) -> Result<Matrix<'_>> {
        match self {
            Tree::Quantized(w) => Ok(Matrix::Quantized(w)),
            other => other.one().map(Matrix::Tensor),
        }
    }
    /// A matrix of weights, and their bias if there is to be one.
    ///
    /// # Errors
    /// As [`Tree::matrix`].
    pub(crate) fn matrix_and_bias(&self, has_bias: bool) -> Result<(Matrix<'_>, Option<&Tensor>)> {
        match self {
            Tree::Tuple(v) if has_bias => match &v[..] {
                [Tree::Quantized(w), Tree::Leaf(b)] => Ok((Matrix::Quantized(w), Some(b))),
                _ => self.many().map(|[w, b]| (Matrix::Tensor(w), Some(b))),
            },
            _ if has_bias => Err(self.wrong("a tuple of 2 tensors")),
            _ => Ok((self.matrix()?, None)),
        }
    }
    /// A flat tuple of matrices and what stands between them.
    ///
    /// # Errors
    /// As [`Tree::many`].
    pub(crate) fn many_matrices<const N: usize>(&self) -> Result<[Matrix<'_>; N]> {
        fn one(tree: &Tree<Tensor>) -> Option<Matrix<'_>> {
            match tree {
                Tree::Leaf(t) => Some(Matrix::Tensor(t)),
                Tree::Quantized(w) => Some(Matrix::Quantized(w)),
                _ => None,
            }
        }
        if let Tree::Tuple(v) = self {
            let all: Option<Vec<Matrix>> = v.iter().map(one).collect(); // few
            if let Some(Ok(all)) = all.map(<[Matrix; N]>::try_from) {
                return Ok(all);
            }
        }
        Err(self.wrong(&format!("a tuple of {N} tensors")))
    }
    /// With each of its weights as `f` makes it.
    fn with_each(self, f: impl Fn(Self) -> Result<Self>) -> Result<Self> {
        match self {
            Tree::Tuple(v) => Ok(Tree::Tuple(v.into_iter().map(f).collect::<Result<_>>()?)),
            Tree::Leaf(_) | Tree::Quantized(_) => f(self),
            other => Ok(other),
        }
    }
}

/// Whether a layer, or one below it, holds weights that are quantized.
pub fn is_quantized(layer: &LayerRef) -> bool {
    first_quantized(layer).is_some()
}

/// The name of a layer that holds weights which are quantized.
fn first_quantized(layer: &LayerRef) -> Option<String> {
    let mut found = None;
    for_each_instance(layer, &mut |l| {
        if found.is_none() && l.base().slot.weights().is_some_and(|w| !w.matrices().is_empty()) {
            found = Some(l.base().name.clone());
        }
    });
    found
}

/// Refuses `what`, which needs float32 weights, for a layer that holds quantized ones.
///
/// # Errors
/// `InvalidArgument`, which says what to do.
pub fn refuse_quantized(what: &str, layer: &LayerRef) -> Result<()> {
    let Some(name) = first_quantized(layer) else { return Ok(()) };
    let model = &layer.base().name;
    let why = format!(
        "{what} needs float32 weights, but those of {name} in {model} are quantized, for inference alone; do it with the model that was \
         quantized, and call quantize on that again"
    );
    Err(Error::new(ErrorKind::InvalidArgument, why))
}

/// A copy of a layer for inference, with weights of its own: its large matrices are held in fewer bits, all else is shared with what it was made
/// of as it is now. A copy of a layer in mode `'train'` is in mode `'eval'`.
///
/// # Errors
/// `NotInitialized` naming the layer, where one has no weights; `NotFinite` naming the layer, for a matrix with a number that cannot be held.
pub fn quantize(layer: &LayerRef, quantization: Quantization) -> Result<LayerRef> {
    refuse_quantized("quantize", layer)?;
    require_weights(layer, "call init(signature) or load them, then quantize")?;
    let mut trains = false;
    for_each_instance(layer, &mut |l| {
        let base = l.base();
        trains |= base.mode() == Some(Mode::Train) || l.host_mode().is_some_and(|mode| mode.get() == Mode::Train);
    });
    let mut made = Store::new();
    quantized(layer, quantization, &mut HashSet::new(), &mut made)?;
    let mut rebuild = Rebuild { deep: true, mode: trains.then_some(Mode::Eval), ..Rebuild::default() };
    let copy = rebuild.layer(layer);
    let ids: Vec<(LayerId, Tree<Tensor>)> = made.into_iter().map(|(id, tree)| (rebuild.copy_of(id), tree)).collect();
    // Each of several copies of an instance, in other modes, has a slot of its own.
    let made: Store = ids.into_iter().collect();
    fn set(layer: &LayerRef, made: &Store) {
        if let Some(tree) = made.get(&layer.base().id) {
            layer.base().slot.set_weights(tree.clone());
        }
        layer.sublayers().iter().for_each(|l| deep(|| set(l, made)));
    }
    set(&copy, &made);
    Ok(copy)
}

/// Makes the quantized weights of a layer and of all below it.
fn quantized(layer: &LayerRef, q: Quantization, seen: &mut HashSet<LayerId>, made: &mut Store) -> Result<()> {
    let base = layer.base();
    if !seen.insert(base.id) {
        return Ok(());
    }
    let mut own = || -> Result<()> {
        if let (Some(outputs), Some(weights)) = (layer.traits().matrix, base.slot.weights()) {
            made.insert(base.id, weights.with_each(|w| narrowed(w, outputs, q))?);
        }
        layer.sublayers().iter().try_for_each(|l| deep(|| quantized(l, q, seen, made)))
    };
    own().map_err(|e| base.within(e, Phase::Init, Vec::new))
}

/// A matrix in fewer bits, if it is one of float32 that is large.
fn narrowed(w: Tree<Tensor>, outputs: Outputs, quantization: Quantization) -> Result<Tree<Tensor>> {
    match w {
        Tree::Leaf(t) if t.rank() == 2 && t.dtype() == DType::F32 && t.size() >= SMALLEST => {
            let made = Quantized::new(&t, outputs, quantization);
            Ok(Tree::Quantized(made.map_err(|e| Error::from(e).about("quantize"))?))
        }
        other => Ok(other),
    }
}

/// Weights from a file as a layer holds them that held `before`: in float32 where it computes with nothing else, and quantized where it was
/// quantized before.
///
/// # Errors
/// As [`quantize`].
pub fn requantized(layer: &LayerRef, mut weights: Store, before: &Store) -> Result<Store> {
    let mut done = Ok(());
    for_each_instance(layer, &mut |l| {
        let (id, matrix) = (l.base().id, l.traits().matrix);
        let Some(tree) = weights.remove(&id).filter(|_| done.is_ok()) else { return };
        let was = before.get(&id).and_then(|tree| tree.matrices().first().map(|w| w.quantization()));
        let fits = tree.matrices().iter().all(|w| Some(w.outputs()) == matrix);
        let held = match (matrix, was) {
            _ if !fits => tree.shown(),
            (Some(outputs), Some(was)) => tree.with_each(|w| narrowed(w, outputs, was)),
            _ => Ok(tree),
        };
        match held.map_err(|e| l.base().within(e, Phase::Init, Vec::new)) {
            Ok(tree) => drop(weights.insert(id, tree)),
            Err(e) => done = Err(e),
        }
    });
    done.map(|()| weights)
}
