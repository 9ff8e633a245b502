//! Functions of the host language (JavaScript), as the core sees them.
use crate::{stack::deep, LayerRef, Result, Tree};
use std::{fmt::Debug, sync::Arc};
use tallow_tensor::Tensor;

/// What crosses between the core and a host function.
#[derive(Debug, Clone)]
pub enum HostValue {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// A tensor, with its autodiff record.
    Tensor(Tensor),
    /// A layer.
    Layer(LayerRef),
    /// The marker of cached weights or state.
    Cached,
    /// A list.
    List(Vec<HostValue>),
    /// A record.
    Record(Vec<(String, HostValue)>),
}

/// A function of the host language. Tensor operations inside it extend the same autodiff graph.
pub trait HostFn: Debug + Send + Sync {
    /// Calls it.
    ///
    /// # Errors
    /// Kind `Host` carrying the host's own exception, or `Aborted` when the host is shutting down.
    fn call(&self, args: &[HostValue]) -> Result<HostValue>;
    /// How many parameters it declares.
    fn arity(&self) -> usize;
}

/// A shared host function.
pub type HostFnRef = Arc<dyn HostFn>;

impl HostValue {
    /// Tensors of this shape as a list of numbers.
    pub fn shape(shape: &[usize]) -> Self {
        HostValue::List(shape.iter().map(|&d| HostValue::Number(d as f64)).collect())
    }
    /// A tree of tensors, tuples as lists.
    pub fn tree(tree: &Tree<Tensor>) -> Self {
        deep(|| match tree {
            Tree::Leaf(t) => HostValue::Tensor(t.clone()),
            Tree::Tuple(v) => HostValue::List(v.iter().map(Self::tree).collect()),
            Tree::Dict(v) => HostValue::Record(v.iter().map(|(k, t)| (k.clone(), Self::tree(t))).collect()),
            Tree::Cached => HostValue::Cached,
        })
    }
    /// This value as a tree of tensors; `null` is `()`.
    ///
    /// # Errors
    /// `DTypeMismatch` if something in it is no tensor, list or record.
    pub fn into_tree(self) -> Result<Tree<Tensor>> {
        deep(|| {
            Ok(match self {
                HostValue::Tensor(t) => Tree::Leaf(t),
                HostValue::Null => Tree::EMPTY,
                HostValue::Cached => Tree::Cached,
                HostValue::List(v) => Tree::Tuple(v.into_iter().map(Self::into_tree).collect::<Result<_>>()?),
                HostValue::Record(v) => {
                    Tree::Dict(v.into_iter().map(|(k, t)| Ok((k, t.into_tree()?))).collect::<Result<_>>()?)
                }
                other => {
                    return Err(crate::Error::dtype(format!("expected tensors or lists of them, got {}", other.what())))
                }
            })
        })
    }
    /// This value as a list of tensors: one tensor, or a list of tensors; `null` is none.
    ///
    /// # Errors
    /// `DTypeMismatch` if it is something else.
    pub fn into_tensors(self) -> Result<Vec<Tensor>> {
        match self {
            HostValue::Tensor(t) => Ok(vec![t]),
            HostValue::Null => Ok(Vec::new()),
            HostValue::List(v) => v
                .into_iter()
                .map(|v| match v {
                    HostValue::Tensor(t) => Ok(t),
                    other => Err(crate::Error::dtype(format!("expected a tensor, got {}", other.what()))),
                })
                .collect(),
            other => Err(crate::Error::dtype(format!("expected a tensor or a list of tensors, got {}", other.what()))),
        }
    }
    /// What this is, in a word.
    pub fn what(&self) -> &'static str {
        match self {
            HostValue::Null => "null",
            HostValue::Bool(_) => "a boolean",
            HostValue::Number(_) => "a number",
            HostValue::Text(_) => "a string",
            HostValue::Tensor(_) => "a tensor",
            HostValue::Layer(_) => "a layer",
            HostValue::Cached => "a cache marker",
            HostValue::List(_) => "a list",
            HostValue::Record(_) => "a record",
        }
    }
}
