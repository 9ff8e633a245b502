//! Options that are no plain values: layers, functions, tensors, keys, factories, initializers.
use super::{
    domains::{whole, Shape},
    show::show,
    OptionType,
};
use crate::{
    framework::host::LayerKind, Error, HostFnRef, HostValue, Initializer, LayerNest, LayerRef, Result, TensorSpec, Tree,
};
use std::sync::Arc;
use tallow_tensor::{random::Key, DType, Tensor};

/// A layer.
#[derive(Debug, Clone)]
pub struct LayerArg(pub LayerRef);
impl OptionType for LayerArg {
    const TS: &'static str = "Layer";
    const EXPECTED: &'static str = "a layer";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Layer(layer) => Some(Self(layer.clone())),
            _ => None,
        }
    }
    fn show(&self) -> String {
        self.0.base().name.clone()
    }
}

impl LayerNest {
    fn read(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Null => Some(LayerNest::Null),
            HostValue::List(a) => a.iter().map(Self::read).collect::<Option<_>>().map(LayerNest::List),
            _ => LayerArg::parse(v).map(|l| LayerNest::One(l.0)),
        }
    }
}
impl OptionType for LayerNest {
    const TS: &'static str = "LayerNest";
    const EXPECTED: &'static str = "a layer, null or a nested list of these";
    fn parse(v: &HostValue) -> Option<Self> {
        Self::read(v)
    }
    fn null() -> Option<Self> {
        Some(LayerNest::Null)
    }
    fn show(&self) -> String {
        match self {
            LayerNest::Null => "null".into(),
            LayerNest::One(l) => l.base().name.clone(),
            LayerNest::List(v) => format!("[{}]", v.iter().map(Self::show).collect::<Vec<_>>().join(", ")),
        }
    }
}
/// The sublayers of a combinator, as given.
#[derive(Debug, Clone, Default)]
pub struct LayerList(pub Vec<LayerNest>);
impl OptionType for LayerList {
    const TS: &'static str = "LayerNest[]";
    const EXPECTED: &'static str = "layers, nulls or nested lists of them";
    fn parse(v: &HostValue) -> Option<Self> {
        v.list()?.iter().map(LayerNest::read).collect::<Option<_>>().map(Self)
    }
    fn show(&self) -> String {
        "[]".into()
    }
    fn explain(v: &HostValue) -> Option<String> {
        let bad = v.list()?.iter().find(|v| LayerNest::read(v).is_none())?;
        Some(format!("must be layers, nulls or nested lists of them, got {}", show(bad)))
    }
}

/// A function of the host language.
#[derive(Debug, Clone)]
pub struct FnArg(pub HostFnRef);
impl OptionType for FnArg {
    const TS: &'static str = "TensorFunction";
    const EXPECTED: &'static str = "a function";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Function(f) => Some(Self(f.clone())),
            _ => None,
        }
    }
    fn show(&self) -> String {
        "function".into()
    }
}

/// A tensor argument of a function.
#[derive(Debug, Clone)]
pub struct TensorArg(pub Tensor);
impl OptionType for TensorArg {
    const TS: &'static str = "TensorLike";
    const EXPECTED: &'static str = "a tensor";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Tensor(t) => Some(Self(t.clone())),
            _ => None,
        }
    }
    fn show(&self) -> String {
        "tensor".into()
    }
}

/// A tree of what `leaf` reads, in nested lists and records; records in the order of their names, as Trax sorts them.
fn tree<T>(v: &HostValue, leaf: &dyn Fn(&HostValue) -> Option<T>) -> Option<Tree<T>> {
    if let Some(found) = leaf(v) {
        return Some(Tree::Leaf(found));
    }
    match v {
        HostValue::List(items) => items.iter().map(|v| tree(v, leaf)).collect::<Option<_>>().map(Tree::Tuple),
        HostValue::Cached => Some(Tree::Cached),
        HostValue::Record(fields) => {
            let field = |(name, v): &(String, HostValue)| Some((name.clone(), tree(v, leaf)?));
            let mut fields: Vec<_> = fields.iter().map(field).collect::<Option<_>>()?;
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Some(Tree::Dict(fields))
        }
        _ => None,
    }
}

/// Tensors in nested lists, with cache markers, as weights and state are.
#[derive(Debug, Clone)]
pub struct TensorNest(pub Tree<Tensor>);
impl OptionType for TensorNest {
    const TS: &'static str = "TensorTree";
    const EXPECTED: &'static str = "a tensor or nested lists of tensors";
    fn parse(v: &HostValue) -> Option<Self> {
        tree(v, &|v| TensorArg::parse(v).map(|t| t.0)).map(Self)
    }
    fn show(&self) -> String {
        self.0.describe()
    }
}

/// The signatures of weights and of state, nested as these are.
#[derive(Debug, Clone)]
pub struct SignaturePair(pub [Tree<TensorSpec>; 2]);
impl OptionType for SignaturePair {
    const TS: &'static str = "readonly [SignatureTree, SignatureTree]";
    const EXPECTED: &'static str = "a pair of nested lists of {shape, dtype}";
    fn parse(v: &HostValue) -> Option<Self> {
        let leaf = |v: &HostValue| {
            let (shape, dtype) = (v.get("shape")?, v.get("dtype")?);
            Some(TensorSpec::new(Shape::parse(shape)?.0, DType::parse(dtype.text()?).ok()?))
        };
        match v.list()? {
            [w, s] => Some(Self([tree(w, &leaf)?, tree(s, &leaf)?])),
            _ => None,
        }
    }
    fn show(&self) -> String {
        "signatures".into()
    }
}

/// A uint32 tensor of shape `[2]` as a key.
pub fn key_of(t: &Tensor) -> Option<Key> {
    if t.dtype() != DType::U32 || t.shape() != [2] {
        return None;
    }
    let v = t.to_vec::<u32>().ok()?;
    Some(Key([v[0], v[1]]))
}

/// A random key argument of a function.
#[derive(Debug, Clone, Copy)]
pub struct KeyArg(pub Key);
impl OptionType for KeyArg {
    const TS: &'static str = "KeyLike";
    const EXPECTED: &'static str = "a random key (a uint32[2] tensor, a Uint32Array or an array of two words)";
    fn parse(v: &HostValue) -> Option<Self> {
        let word = |v: &HostValue| whole(v)?.try_into().ok();
        match v {
            HostValue::List(words) => match &words[..] {
                [a, b] => Some(Self(Key([word(a)?, word(b)?]))),
                _ => None,
            },
            HostValue::Tensor(t) => key_of(t).map(Self),
            _ => None,
        }
    }
    fn show(&self) -> String {
        "key".into()
    }
}

/// Something that makes layers when called without arguments: a registered factory, or a host function.
#[derive(Debug, Clone)]
pub enum Factory {
    /// A registered kind with some options given.
    Kind(LayerKind),
    /// A host function returning a layer.
    Host(HostFnRef),
}
impl Factory {
    /// What Rust code makes of the options it is handed, under the name of the layer's kind.
    pub fn of(kind: &str, make: impl Fn(&HostValue) -> Result<LayerRef> + Send + Sync + 'static) -> Self {
        Factory::Kind(LayerKind { kind: kind.to_string(), options: Vec::new(), make: Arc::new(make) })
    }
    /// Makes a layer.
    ///
    /// # Errors
    /// Those of the factory; `InvalidOption` if a host function returns no layer.
    pub fn make(&self) -> Result<LayerRef> {
        self.make_with(&[])
    }
    /// Makes a layer, adding options (by name) to those already given. Options stand in the order the host function takes them.
    ///
    /// # Errors
    /// Those of the factory; `InvalidOption` if a host function returns no layer.
    pub fn make_with(&self, extra: &[(&str, HostValue)]) -> Result<LayerRef> {
        self.make_of(&[], extra)
    }
    /// As [`Factory::make_with`], behind arguments that a host function takes by place.
    ///
    /// # Errors
    /// Those of the factory; `InvalidOption` if a host function returns no layer.
    pub fn make_of(&self, by_place: &[(&str, HostValue)], extra: &[(&str, HostValue)]) -> Result<LayerRef> {
        match self {
            Factory::Kind(LayerKind { options, make, .. }) => {
                let added = || by_place.iter().chain(extra);
                let kept = options.iter().filter(|(name, _)| added().all(|(other, _)| other != name)).cloned();
                let added = added().map(|(name, v)| ((*name).to_string(), v.clone()));
                make(&HostValue::Record(kept.chain(added).collect()))
            }
            Factory::Host(f) => {
                let mut args: Vec<HostValue> = by_place.iter().map(|(_, v)| v.clone()).collect();
                if !extra.is_empty() {
                    args.push(HostValue::Record(extra.iter().map(|(k, v)| ((*k).to_string(), v.clone())).collect()));
                }
                match f.call(&args)? {
                    HostValue::Layer(l) => Ok(l),
                    other => Err(Error::option(format!("a layer factory must return a layer, got {}", other.what()))),
                }
            }
        }
    }
}
impl OptionType for Factory {
    const TS: &'static str = "LayerFactory";
    const EXPECTED: &'static str = "a layer factory";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Kind(kind) => Some(Factory::Kind(kind.clone())),
            HostValue::Function(f) => Some(Factory::Host(f.clone())),
            _ => None,
        }
    }
    fn show(&self) -> String {
        match self {
            Factory::Kind(k) => k.kind.clone(),
            Factory::Host(_) => "function".into(),
        }
    }
}

impl OptionType for Initializer {
    const TS: &'static str = "KernelInitializer";
    const EXPECTED: &'static str = "an initializer";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Initializer(made) => made.as_ref().ok().cloned(),
            HostValue::Function(f) => Some(Self::host(f.clone())),
            _ => None,
        }
    }
    fn show(&self) -> String {
        self.0.show()
    }
    // An initializer whose own options are refused says so in its own words.
    fn explain(v: &HostValue) -> Option<String> {
        match v {
            HostValue::Initializer(Err(why)) => Some(format!("was refused: {}", why.message())),
            _ => None,
        }
    }
}
