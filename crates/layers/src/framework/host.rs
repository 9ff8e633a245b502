//! Functions of the host language (JavaScript), as the core sees them.
use crate::{framework::tree::NOTHING, stack::deep, HostRun, Initializer, LayerRef, Mode, Result, TensorSpec, Tree};
use std::{
    fmt::{self, Debug},
    sync::Arc,
};
use tallow_tensor::{ops::Axes, random::Key, DType, Device, Tensor};

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
    /// A function.
    Function(HostFnRef),
    /// A kind of layer that was not made yet.
    Kind(LayerKind),
    /// An initializer, or why its options were refused.
    Initializer(Result<Initializer>),
    /// The marker of cached weights or state.
    Cached,
    /// A list.
    List(Vec<HostValue>),
    /// A record.
    Record(Record),
}

/// Named values, in the order they were given.
pub type Record = Vec<(String, HostValue)>;

/// A kind of layer with some of its options given: it makes layers when it is called.
#[derive(Clone)]
pub struct LayerKind {
    /// Its name.
    pub kind: String,
    /// The options given.
    pub options: Record,
    /// Makes a layer of all options.
    pub make: MakeLayer,
}

/// What makes a layer of its options.
pub type MakeLayer = Arc<dyn Fn(&HostValue) -> Result<LayerRef> + Send + Sync>;

impl Debug for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerKind").field("kind", &self.kind).field("options", &self.options).finish_non_exhaustive()
    }
}

/// A function of the host language. Tensor operations inside it extend the same autodiff graph.
pub trait HostFn: Debug + Send + Sync {
    /// Calls it.
    ///
    /// # Errors
    /// Kind `Host` carrying the host's own exception, or `Aborted` when the host is shutting down.
    fn call(&self, args: &[HostValue]) -> Result<HostValue>;
    /// Calls it as a method of a class; layers that it calls are run in `run`.
    ///
    /// # Errors
    /// Those of [`HostFn::call`].
    fn call_in(&self, run: &Arc<HostRun>, args: &[HostValue]) -> Result<HostValue> {
        let _ = run;
        self.call(args)
    }
    /// How many parameters it declares.
    fn arity(&self) -> usize;
}

/// A shared host function.
pub type HostFnRef = Arc<dyn HostFn>;

impl From<Mode> for HostValue {
    fn from(mode: Mode) -> Self {
        HostValue::Text(mode.name().into())
    }
}

impl HostValue {
    /// Tensors of this shape as a list of numbers.
    pub fn shape(shape: &[usize]) -> Self {
        HostValue::List(shape.iter().map(|&d| HostValue::Number(d as f64)).collect())
    }
    /// Tensors as a list.
    pub fn tensors(xs: &[Tensor]) -> Self {
        HostValue::List(xs.iter().cloned().map(HostValue::Tensor).collect())
    }
    /// A random key, as a uint32 tensor of two words.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn key(key: Key) -> Result<Self> {
        Ok(HostValue::Tensor(Tensor::from_vec(key.0.to_vec(), &[2])?))
    }
    /// A signature, as a record of `shape` and `dtype`.
    pub fn signature(spec: &TensorSpec) -> Self {
        let dtype = HostValue::Text(spec.dtype.name().into());
        HostValue::Record(vec![("shape".into(), HostValue::shape(&spec.shape)), ("dtype".into(), dtype)])
    }
    /// A tree of tensors, tuples as lists.
    pub fn tree(tree: &Tree<Tensor>) -> Self {
        deep(|| match tree {
            Tree::Leaf(t) => HostValue::Tensor(t.clone()),
            Tree::Tuple(v) => HostValue::List(v.iter().map(Self::tree).collect()),
            Tree::Dict(v) => HostValue::Record(v.iter().map(|(k, t)| (k.clone(), Self::tree(t))).collect()),
            Tree::Cached => HostValue::Cached,
            // A host is given what `view_state` shows, and states of its own classes: neither has these in it.
            Tree::Past(_) | Tree::Filled(_) | Tree::Rows(_) | Tree::Quantized(_) => HostValue::Null,
        })
    }
    /// This value as a tree of tensors; `null` is `()`, numbers are what `tl.tensor` makes of them.
    ///
    /// # Errors
    /// `DTypeMismatch` if something in it is no tensor, number, list or record, or a whole number does not fit int32.
    pub fn into_tree(self) -> Result<Tree<Tensor>> {
        if let Some(numbers) = Numbers::of(&self) {
            return Ok(Tree::Leaf(numbers.tensor(numbers.natural_dtype()?, &Device::Cpu)?));
        }
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
    /// [`HostValue::into_tree`] of what is to stand where `held` does: numbers take the type of the tensor that stands there, and so
    /// do tensors whose values it holds exactly; a tensor for a tuple is taken apart along its first axis.
    ///
    /// # Errors
    /// Those of [`HostValue::into_tree`]; `DTypeMismatch` for a number with a fraction where integers stand.
    pub fn into_tree_like(self, held: &Tree<Tensor>) -> Result<Tree<Tensor>> {
        deep(|| {
            Ok(match (self, held) {
                (HostValue::Tensor(t), Tree::Leaf(h)) => Tree::Leaf(losslessly(t, h.dtype())?),
                (HostValue::Tensor(t), Tree::Tuple(items))
                    if !items.is_empty() && t.shape().first() == Some(&items.len()) =>
                {
                    let part = |(i, h): (usize, &_)| HostValue::Tensor(t.index(0, i as isize)?).into_tree_like(h);
                    Tree::Tuple(items.iter().enumerate().map(part).collect::<Result<_>>()?)
                }
                (HostValue::List(v), Tree::Tuple(items)) if v.len() == items.len() => {
                    Tree::Tuple(v.into_iter().zip(items).map(|(v, h)| v.into_tree_like(h)).collect::<Result<_>>()?)
                }
                (HostValue::Record(v), Tree::Dict(fields)) => {
                    let field = |(key, v): (String, HostValue)| {
                        let held = fields.iter().find(|(k, _)| *k == key).map_or(&NOTHING, |(_, h)| h);
                        Ok((key, v.into_tree_like(held)?))
                    };
                    Tree::Dict(v.into_iter().map(field).collect::<Result<_>>()?)
                }
                (v, Tree::Leaf(h)) => match (Numbers::of(&v), v) {
                    (Some(numbers), _) => Tree::Leaf(numbers.tensor(h.dtype(), h.device())?),
                    (None, HostValue::List(rows)) if !rows.is_empty() => {
                        let rows: Vec<_> = rows.into_iter().map(Self::into_tree).collect::<Result<_>>()?;
                        let leaves: Vec<_> = rows.iter().filter_map(|t| t.one().ok().cloned()).collect();
                        let alike = leaves.len() == rows.len() && leaves.iter().all(|t| t.shape() == leaves[0].shape());
                        if alike && h.rank() == leaves[0].rank() + 1 {
                            Tree::Leaf(losslessly(Tensor::stack(&leaves, 0)?, h.dtype())?)
                        } else {
                            Tree::Tuple(rows)
                        }
                    }
                    (None, other) => other.into_tree()?,
                },
                (v, _) => v.into_tree()?,
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
    /// Whether functions of the host are in it.
    pub(crate) fn has_functions(&self) -> bool {
        let any = |fields: &[(String, HostValue)]| fields.iter().any(|(_, value)| deep(|| value.has_functions()));
        match self {
            HostValue::Function(_) => true,
            HostValue::List(items) => items.iter().any(|item| deep(|| item.has_functions())),
            HostValue::Record(fields) => any(fields),
            HostValue::Kind(kind) => any(&kind.options),
            _ => false,
        }
    }
    /// The number, if this is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            HostValue::Number(n) => Some(*n),
            _ => None,
        }
    }
    /// The boolean, if this is one.
    pub fn boolean(&self) -> Option<bool> {
        match self {
            HostValue::Bool(b) => Some(*b),
            _ => None,
        }
    }
    /// The string, if this is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            HostValue::Text(s) => Some(s),
            _ => None,
        }
    }
    /// The items, if this is a list.
    pub fn list(&self) -> Option<&[HostValue]> {
        match self {
            HostValue::List(items) => Some(items),
            _ => None,
        }
    }
    /// The fields, if this is a record.
    pub fn record(&self) -> Option<&[(String, HostValue)]> {
        match self {
            HostValue::Record(fields) => Some(fields),
            _ => None,
        }
    }
    /// What has this name, if this is a record.
    pub fn get(&self, name: &str) -> Option<&HostValue> {
        self.record()?.iter().find(|(key, _)| key == name).map(|(_, value)| value)
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
            HostValue::Function(_) => "a function",
            HostValue::Kind(_) => "a layer factory that was not called",
            HostValue::Initializer(_) => "an initializer",
            HostValue::Cached => "a cache marker",
            HostValue::List(_) => "a list",
            HostValue::Record(_) => "a record",
        }
    }
}

macro_rules! from {
    ($($t:ty => |$x:ident| $value:expr;)*) => {$(
        impl From<$t> for HostValue {
            fn from($x: $t) -> Self {
                $value
            }
        }
    )*};
}
from! {
    bool => |b| HostValue::Bool(b);
    f64 => |n| HostValue::Number(n);
    usize => |n| HostValue::Number(n as f64);
    &str => |s| HostValue::Text(s.to_owned());
    Tensor => |t| HostValue::Tensor(t);
    LayerRef => |l| HostValue::Layer(l);
    Vec<HostValue> => |items| HostValue::List(items);
    Record => |fields| HostValue::Record(fields);
}

impl<const N: usize> From<[(&str, HostValue); N]> for HostValue {
    fn from(fields: [(&str, HostValue); N]) -> Self {
        HostValue::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// Numbers and booleans in nested lists of equal lengths, at least one.
struct Numbers {
    values: Vec<f64>,
    shape: Vec<usize>,
    booleans: bool,
}

impl Numbers {
    fn of(value: &HostValue) -> Option<Self> {
        match value {
            HostValue::Number(n) => Some(Self { values: vec![*n], shape: Vec::new(), booleans: false }),
            HostValue::Bool(b) => Some(Self { values: vec![f64::from(*b)], shape: Vec::new(), booleans: true }),
            HostValue::List(items) => {
                let mut items = items.iter().map(Self::of);
                let first = items.next()??;
                let (inner, mut out) = (first.shape.clone(), first);
                let mut len = 1;
                for item in items {
                    let item = item.filter(|item| item.shape == inner)?;
                    out.values.extend(item.values);
                    out.booleans &= item.booleans;
                    len += 1;
                }
                out.shape = std::iter::once(len).chain(inner).collect();
                Some(out)
            }
            _ => None,
        }
    }
    /// What `tl.tensor` makes of them.
    fn natural_dtype(&self) -> Result<DType> {
        if self.booleans {
            return Ok(DType::Bool);
        }
        if self.values.iter().any(|v| v.fract() != 0.0 || !v.is_finite()) {
            return Ok(DType::F32);
        }
        match self.values.iter().find(|v| **v < f64::from(i32::MIN) || **v > f64::from(i32::MAX)) {
            Some(v) => Err(crate::Error::dtype(format!("{v} does not fit int32: give a tensor of the type you want"))),
            None => Ok(DType::I32),
        }
    }
    fn tensor(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let fraction = self.values.iter().find(|v| !dtype.is_float() && v.fract() != 0.0);
        if let Some(v) = fraction {
            return Err(crate::Error::dtype(format!("{v} cannot stand where the layer holds {}", dtype.name())));
        }
        // Float64 holds what was given; a number beyond the type is then refused, not moved to its end.
        let exact = if dtype.is_float() { dtype } else { DType::F64 };
        Ok(Tensor::from_f64(&self.values, &self.shape, exact, device)?.cast_within(dtype)?)
    }
}

/// `t` as another type if that holds all its values exactly, else as it is.
fn losslessly(t: Tensor, dtype: DType) -> Result<Tensor> {
    if t.dtype() == dtype {
        return Ok(t);
    }
    let cast = t.cast(dtype)?;
    let same = cast.cast(t.dtype())?.eq(&t)?.all(Axes::All, false)?.item()? != 0.0;
    Ok(if same { cast } else { t })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f64]) -> HostValue {
        HostValue::List(values.iter().map(|&v| HostValue::Number(v)).collect())
    }
    fn held(tensors: &[(&[usize], DType)]) -> Tree<Tensor> {
        Tree::tuple(tensors.iter().map(|(shape, dtype)| Tensor::full(shape, 0, *dtype, &Device::Cpu).unwrap()))
    }
    fn values(tree: &Tree<Tensor>) -> Vec<(DType, Vec<usize>, Vec<f64>)> {
        tree.leaves().iter().map(|t| (t.dtype(), t.shape().to_vec(), t.to_f64_vec().unwrap())).collect()
    }

    #[test]
    fn numbers_take_the_type_of_what_they_replace() {
        let value = HostValue::List(vec![
            HostValue::List(vec![numbers(&[1.0, 2.0, 3.0]), numbers(&[4.0, 5.0, 6.5])]),
            numbers(&[7.0, 8.0, 9.0]),
            HostValue::Number(4.0),
        ]);
        let held = held(&[(&[2, 3], DType::F32), (&[3], DType::BF16), (&[], DType::I32)]);
        let tree = value.into_tree_like(&held).unwrap();
        assert_eq!(
            values(&tree),
            [
                (DType::F32, vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5]),
                (DType::BF16, vec![3], vec![7.0, 8.0, 9.0]),
                (DType::I32, vec![], vec![4.0]),
            ]
        );
        let fraction = HostValue::List(vec![numbers(&[0.5])]).into_tree_like(&Tree::tuple([Tensor::full(
            &[1],
            0,
            DType::I64,
            &Device::Cpu,
        )
        .unwrap()]));
        assert!(fraction.unwrap_err().to_string().contains("0.5 cannot stand where the layer holds int64"));
    }

    #[test]
    fn rectangles_are_taken_apart_where_a_tuple_stands() {
        let two = held(&[(&[2], DType::F32), (&[2], DType::F32)]);
        let rows = HostValue::List(vec![numbers(&[1.0, 2.0]), numbers(&[3.0, 4.0])]);
        let expected = [(DType::F32, vec![2], vec![1.0, 2.0]), (DType::F32, vec![2], vec![3.0, 4.0])];
        assert_eq!(values(&rows.clone().into_tree_like(&two).unwrap()), expected);
        let one = Tensor::from_f64(&[1.0, 2.0, 3.0, 4.0], &[2, 2], DType::I32, &Device::Cpu).unwrap();
        assert_eq!(values(&HostValue::Tensor(one).into_tree_like(&two).unwrap()), expected);
        // Without anything that stands there, they are one tensor.
        assert_eq!(values(&rows.into_tree().unwrap()), [(DType::I32, vec![2, 2], vec![1.0, 2.0, 3.0, 4.0])]);
        let ragged = HostValue::List(vec![numbers(&[1.0, 2.0]), numbers(&[0.5])]);
        assert_eq!(
            values(&ragged.into_tree().unwrap()),
            [(DType::I32, vec![2], vec![1.0, 2.0]), (DType::F32, vec![1], vec![0.5])]
        );
    }

    #[test]
    fn numbers_beyond_the_type_they_stand_for_are_refused() {
        let given = |v: f64| HostValue::List(vec![HostValue::Number(1.0), HostValue::Number(v)]);
        let like = |dtype| Tree::Leaf(Tensor::full(&[2], 0, dtype, &Device::Cpu).unwrap());
        for (v, dtype) in [(256.0, DType::U8), (-1.0, DType::U32), (3e9, DType::I32), (1e19, DType::I64)] {
            assert!(given(v).into_tree_like(&like(dtype)).is_err(), "{v} as {dtype:?}");
        }
        let kept = given(255.0).into_tree_like(&like(DType::U8)).unwrap();
        assert_eq!(values(&kept), [(DType::U8, vec![2], vec![1.0, 255.0])]);
    }

    #[test]
    fn tensors_are_cast_only_where_nothing_is_lost() {
        let leaf = |dtype| Tree::Leaf(Tensor::full(&[2], 0, dtype, &Device::Cpu).unwrap());
        let given = |v: [f64; 2], dtype| HostValue::Tensor(Tensor::from_f64(&v, &[2], dtype, &Device::Cpu).unwrap());
        for (v, from, to, kept) in [
            ([3.0, -4.0], DType::I32, DType::F32, DType::F32),
            ([3.0, 16_777_217.0], DType::I32, DType::F32, DType::I32),
            ([0.5, 2.0], DType::F64, DType::F32, DType::F32),
            ([0.1, 2.0], DType::F64, DType::F32, DType::F64),
            ([0.5, 2.0], DType::F32, DType::I32, DType::F32),
            ([1.0, 2.0], DType::F32, DType::I32, DType::I32),
        ] {
            let tree = given(v, from).into_tree_like(&leaf(to)).unwrap();
            assert_eq!(values(&tree), [(kept, vec![2], v.to_vec())], "{from:?} to {to:?}");
        }
    }
}
