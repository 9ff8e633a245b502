//! Nested tuples of tensors, as Trax shapes weights, state and signatures.
use super::filled::Filled;
use crate::{stack::deep, Error, ErrorKind, Result, TensorSpec};
use smallvec::SmallVec;
use tallow_tensor::{
    ops::{Past, Quantized},
    DType, Device, Tensor,
};

/// A nested structure of tuples (and, rarely, dictionaries) with `T` at its leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree<T> {
    /// One value.
    Leaf(T),
    /// A tuple; `()` is the empty one.
    Tuple(Vec<Tree<T>>),
    /// A dictionary, in order of insertion.
    Dict(Vec<(String, Tree<T>)>),
    /// The marker of a layer that occurred earlier: its values stand there (Trax's `GET_WEIGHTS_FROM_CACHE`).
    Cached,
    /// What attention has read; where Trax's nesting is asked for, it is the tuple `(keys, values, index)` ([`Tree::shown`]).
    Past(Past),
    /// State of which what was written is held alone; where Trax's nesting is asked for, it is a tensor with zeros behind ([`Tree::shown`]).
    Filled(Filled),
    /// The state of each of several streams, and behind them what they hold as one, if anything; see [`crate::streams`].
    Rows(Vec<Tree<T>>),
    /// A matrix of weights held in fewer bits; where Trax's nesting is asked for, it is the float32 matrix that it stands for.
    Quantized(Quantized),
}

impl<T> Tree<T> {
    /// The empty tuple: no weights, no state.
    pub const EMPTY: Tree<T> = Tree::Tuple(Vec::new());
    /// A tuple of leaves.
    pub fn tuple(items: impl IntoIterator<Item = T>) -> Self {
        Tree::Tuple(items.into_iter().map(Tree::Leaf).collect())
    }
    /// Whether this is `()`.
    pub fn is_empty(&self) -> bool {
        matches!(self, Tree::Tuple(v) if v.is_empty())
    }
    /// The leaves in Trax's flattening order (dictionaries by sorted key, as JAX does).
    pub fn leaves(&self) -> Vec<&T> {
        let mut out = Vec::new();
        self.visit(&mut |t| out.push(t));
        out
    }
    fn visit<'a>(&'a self, f: &mut impl FnMut(&'a T)) {
        deep(|| match self {
            Tree::Leaf(t) => f(t),
            Tree::Tuple(v) | Tree::Rows(v) => v.iter().for_each(|t| t.visit(f)),
            Tree::Dict(v) => {
                let mut sorted: Vec<_> = v.iter().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                sorted.into_iter().for_each(|(_, t)| t.visit(f));
            }
            Tree::Cached | Tree::Past(_) | Tree::Filled(_) | Tree::Quantized(_) => {}
        })
    }
    /// The leaves in the order they stand in, the one [`Tree::try_map`] goes by.
    pub(crate) fn leaves_in_place(&self) -> Vec<&T> {
        fn walk<'a, T>(tree: &'a Tree<T>, out: &mut Vec<&'a T>) {
            deep(|| match tree {
                Tree::Leaf(t) => out.push(t),
                Tree::Tuple(v) | Tree::Rows(v) => v.iter().for_each(|t| walk(t, out)),
                Tree::Dict(v) => v.iter().for_each(|(_, t)| walk(t, out)),
                Tree::Cached | Tree::Past(_) | Tree::Filled(_) | Tree::Quantized(_) => {}
            })
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }
    /// The same structure with `f` applied to each leaf.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn try_map<U, E>(
        &self,
        f: &mut impl FnMut(&T) -> std::result::Result<U, E>,
    ) -> std::result::Result<Tree<U>, E> {
        self.try_replaced(&mut |t| f(t).map(Tree::Leaf))
    }
    /// The same structure with what `f` gives in the place of each leaf.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn try_replaced<U, E>(
        &self,
        f: &mut impl FnMut(&T) -> std::result::Result<Tree<U>, E>,
    ) -> std::result::Result<Tree<U>, E> {
        deep(|| {
            Ok(match self {
                Tree::Leaf(t) => f(t)?,
                Tree::Tuple(v) => {
                    Tree::Tuple(v.iter().map(|t| t.try_replaced(f)).collect::<std::result::Result<_, E>>()?)
                }
                Tree::Rows(v) => {
                    Tree::Rows(v.iter().map(|t| t.try_replaced(f)).collect::<std::result::Result<_, E>>()?)
                }
                Tree::Dict(v) => Tree::Dict(
                    v.iter()
                        .map(|(k, t)| Ok((k.clone(), t.try_replaced(f)?)))
                        .collect::<std::result::Result<_, E>>()?,
                ),
                Tree::Cached => Tree::Cached,
                Tree::Past(past) => Tree::Past(past.clone()),
                Tree::Filled(filled) => Tree::Filled(filled.clone()),
                Tree::Quantized(matrix) => Tree::Quantized(matrix.clone()),
            })
        })
    }
    /// The same structure with `f` applied to each leaf.
    pub fn map<U>(&self, f: &mut impl FnMut(&T) -> U) -> Tree<U> {
        match self.try_map::<U, std::convert::Infallible>(&mut |t| Ok(f(t))) {
            Ok(t) => t,
            Err(e) => match e {},
        }
    }
}

/// Neither weights nor state, to lend where there is none.
pub(crate) static NOTHING: Tree<Tensor> = Tree::EMPTY;

impl Tree<Tensor> {
    /// Whether this is the other with its very tensors, see [`Tensor::is_same`].
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Tree::Leaf(a), Tree::Leaf(b)) => a.is_same(b),
            (Tree::Tuple(a), Tree::Tuple(b)) | (Tree::Rows(a), Tree::Rows(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
            }
            (Tree::Dict(a), Tree::Dict(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && a.is_same(b))
            }
            (Tree::Cached, Tree::Cached) => true,
            (Tree::Past(a), Tree::Past(b)) => a == b,
            (Tree::Filled(a), Tree::Filled(b)) => a == b,
            (Tree::Quantized(a), Tree::Quantized(b)) => a == b,
            _ => false,
        }
    }
    /// The tree with tensors alone, as Trax has it: what attention has read stands in it in full, and weights in float32.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn shown(self) -> Result<Self> {
        self.with_matrices(&mut |matrix| Ok(matrix.dequantized()?))
    }
    /// The tree with tensors alone: what `f` gives of weights that are quantized.
    ///
    /// # Errors
    /// Those of `f`; `OutOfMemory`.
    pub fn with_matrices(self, f: &mut impl FnMut(&Quantized) -> Result<Tensor>) -> Result<Self> {
        deep(|| {
            Ok(match self {
                Tree::Past(past) if past.is_empty() => Self::tuple(unread(&past)?),
                Tree::Past(past) => Self::tuple(past.tensors()?),
                Tree::Filled(filled) => Tree::Leaf(filled.shown()?),
                Tree::Quantized(matrix) => Tree::Leaf(f(&matrix)?),
                Tree::Tuple(v) => Tree::Tuple(v.into_iter().map(|t| t.with_matrices(f)).collect::<Result<_>>()?),
                Tree::Rows(v) => Tree::Rows(v.into_iter().map(|t| t.with_matrices(f)).collect::<Result<_>>()?),
                Tree::Dict(v) => {
                    Tree::Dict(v.into_iter().map(|(k, t)| Ok((k, t.with_matrices(f)?))).collect::<Result<_>>()?)
                }
                tree => tree,
            })
        })
    }
    /// The weights in it that are quantized.
    pub fn matrices(&self) -> Vec<&Quantized> {
        deep(|| match self {
            Tree::Quantized(matrix) => vec![matrix],
            Tree::Tuple(v) | Tree::Rows(v) => v.iter().flat_map(Self::matrices).collect(),
            Tree::Dict(v) => v.iter().flat_map(|(_, t)| t.matrices()).collect(),
            Tree::Leaf(_) | Tree::Cached | Tree::Past(_) | Tree::Filled(_) => Vec::new(),
        })
    }
    /// Bytes of the tensors in it, of what attention has read, and of what was written.
    pub(crate) fn bytes(&self) -> usize {
        deep(|| match self {
            Tree::Leaf(t) => t.size() * t.dtype().size(),
            Tree::Tuple(v) | Tree::Rows(v) => v.iter().map(Self::bytes).sum(),
            Tree::Dict(v) => v.iter().map(|(_, t)| t.bytes()).sum(),
            Tree::Past(past) => past.bytes(),
            Tree::Filled(filled) => filled.bytes(),
            Tree::Quantized(matrix) => matrix.bytes(),
            Tree::Cached => 0,
        })
    }
    /// Its structure with signatures at the leaves, as [`Tree::shown`] would be.
    pub fn specs(&self) -> Tree<TensorSpec> {
        deep(|| match self {
            Tree::Leaf(t) => Tree::Leaf(TensorSpec::of(t)),
            Tree::Tuple(v) => Tree::Tuple(v.iter().map(Self::specs).collect()),
            Tree::Rows(v) => Tree::Rows(v.iter().map(Self::specs).collect()),
            Tree::Dict(v) => Tree::Dict(v.iter().map(|(k, t)| (k.clone(), t.specs())).collect()),
            Tree::Past(past) => {
                let [keys, values] = past.specs().map(|(shape, dtype)| TensorSpec::new(shape, dtype));
                Tree::tuple([keys, values, TensorSpec::new([], DType::I32)])
            }
            Tree::Filled(filled) => Tree::Leaf(filled.spec()),
            Tree::Quantized(matrix) => Tree::Leaf(TensorSpec::new(matrix.shape(), DType::F32)),
            Tree::Cached => Tree::Cached,
        })
    }
    /// Exactly one tensor: the tree itself is a leaf.
    ///
    /// # Errors
    /// `NotInitialized` if there is nothing, `WeightsMismatch` for any other structure.
    pub fn one(&self) -> Result<&Tensor> {
        match self {
            Tree::Leaf(t) => Ok(t),
            other => Err(other.wrong("a tensor")),
        }
    }
    /// Exactly `N` tensors in a flat tuple.
    ///
    /// # Errors
    /// `NotInitialized` if there is nothing, `WeightsMismatch` for any other structure.
    pub fn many<const N: usize>(&self) -> Result<[&Tensor; N]> {
        if let Tree::Tuple(v) = self {
            let leaves = v.iter().map(|t| if let Tree::Leaf(t) = t { Some(t) } else { None });
            let leaves: Option<SmallVec<[&Tensor; 8]>> = leaves.collect();
            if let Some(Ok(a)) = leaves.map(|v| <[&Tensor; N]>::try_from(&v[..])) {
                return Ok(a);
            }
        }
        Err(self.wrong(&format!("a tuple of {N} tensors")))
    }
    /// A kernel, and behind it a bias where there is one.
    pub(crate) fn with_bias(kernel: Tensor, bias: Option<Tensor>) -> Self {
        match bias {
            Some(bias) => Self::tuple([kernel, bias]),
            None => Self::Leaf(kernel),
        }
    }
    /// The kernel of weights made by [`Tree::with_bias`], and their bias if there is to be one.
    ///
    /// # Errors
    /// `NotInitialized` if there is nothing, `WeightsMismatch` for any other structure.
    pub(crate) fn kernel_and_bias(&self, has_bias: bool) -> Result<(&Tensor, Option<&Tensor>)> {
        if !has_bias {
            return Ok((self.one()?, None));
        }
        let [kernel, bias] = self.many()?;
        Ok((kernel, Some(bias)))
    }
    /// The error for a structure that is not `expected`.
    pub fn wrong(&self, expected: &str) -> Error {
        if let [matrix, ..] = self.matrices()[..] {
            let what = format!("weights are quantized ({matrix:?}), and this layer computes with float32 ones alone; use the model that was quantized");
            Error::new(ErrorKind::WeightsMismatch, what)
        } else if self.is_empty() {
            Error::new(ErrorKind::NotInitialized, "the layer has no weights or state yet; call init(signature) first")
        } else {
            Error::new(ErrorKind::WeightsMismatch, format!("expected {expected}, got {}", self.describe()))
        }
    }
    /// Structure with shapes, for messages: `(float32[2,3], ())`.
    pub fn describe(&self) -> String {
        self.specs().text()
    }
}

/// [`Past::tensors`] where nothing was read: zeros that take no memory, however much room there is.
fn unread(past: &Past) -> Result<[Tensor; 3]> {
    let zeros = |(shape, dtype): (Vec<usize>, DType)| {
        let one = Tensor::zeros(&[1; 3], dtype, &Device::Cpu)?;
        one.broadcast_to(&shape)
    };
    let [keys, values] = past.specs();
    Ok([zeros(keys)?, zeros(values)?, Tensor::scalar(0i32)])
}

impl Tree<TensorSpec> {
    /// Structure with shapes, for messages: `(float32[2,3], ())`.
    pub(crate) fn text(&self) -> String {
        let listed = |v: &[Self]| v.iter().map(Self::text).collect::<Vec<_>>().join(", ");
        deep(|| match self {
            Tree::Leaf(spec) => spec.to_string(),
            Tree::Tuple(v) => format!("({})", listed(v)),
            Tree::Rows(v) => format!("streams of ({})", listed(v)),
            Tree::Dict(v) => {
                format!("{{{}}}", v.iter().map(|(k, t)| format!("{k}: {}", t.text())).collect::<Vec<_>>().join(", "))
            }
            Tree::Cached => "cached".into(),
            Tree::Past(past) => format!("{past:?}"),
            Tree::Filled(filled) => filled.spec().to_string(),
            Tree::Quantized(matrix) => format!("{matrix:?}"),
        })
    }
}
