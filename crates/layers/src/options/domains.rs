//! The domains options take their values from; each words its own refusal.
use crate::{build, options::OptionType, HostFnRef, LayerNest, LayerRef, Mode, Result};
use serde_json::Value;
use tallow_tensor::DType;

macro_rules! domain {
    ($(#[doc = $doc:literal])* $name:ident($inner:ty), $ts:literal, $expected:literal, $parse:expr, $show:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name(pub $inner);
        impl OptionType for $name {
            const TS: &'static str = $ts;
            const EXPECTED: &'static str = $expected;
            fn parse(v: &Value) -> Option<Self> {
                let parse: fn(&Value) -> Option<$inner> = $parse;
                parse(v).map(Self)
            }
            fn show(&self) -> String {
                let show: fn($inner) -> String = $show;
                show(self.0)
            }
        }
    };
}

fn whole(v: &Value) -> Option<i64> {
    v.as_i64().or_else(|| v.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
}

domain!(
    /// A size: a whole number of at least 1.
    Dim(usize), "number", "a whole number of at least 1",
    |v| whole(v).filter(|&n| n >= 1).map(|n| n as usize), |n| n.to_string()
);
domain!(
    /// A count: a whole number of at least 0.
    Count(usize), "number", "a whole number of at least 0",
    |v| whole(v).filter(|&n| n >= 0).map(|n| n as usize), |n| n.to_string()
);
domain!(
    /// A whole number of either sign.
    Whole(i64), "number", "a whole number", whole, |n| n.to_string()
);
domain!(
    /// An axis; negative ones count from the end.
    Axis(isize), "number", "an axis (a whole number; negative ones count from the end)",
    |v| whole(v).map(|n| n as isize), |n| n.to_string()
);
domain!(
    /// The probability of dropping: at least 0 and below 1.
    Rate(f64), "number", "at least 0 and below 1", |v| v.as_f64().filter(|f| (0.0..1.0).contains(f)), |f| f.to_string()
);
domain!(
    /// A share: from 0 to 1.
    Fraction(f64), "number", "from 0 to 1", |v| v.as_f64().filter(|f| (0.0..=1.0).contains(f)), |f| f.to_string()
);
domain!(
    /// A finite number.
    Num(f64), "number", "a finite number", |v| v.as_f64().filter(|f| f.is_finite()), |f| f.to_string()
);
domain!(
    /// A number of at least 0.
    NotNegative(f64), "number", "a number of at least 0", |v| v.as_f64().filter(|f| f.is_finite() && *f >= 0.0), |f| f.to_string()
);
domain!(
    /// A number above 0.
    Positive(f64), "number", "a number above 0", |v| v.as_f64().filter(|f| f.is_finite() && *f > 0.0), |f| f.to_string()
);

impl OptionType for bool {
    const TS: &'static str = "boolean";
    const EXPECTED: &'static str = "true or false";
    fn parse(v: &Value) -> Option<Self> {
        v.as_bool()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl OptionType for String {
    const TS: &'static str = "string";
    const EXPECTED: &'static str = "a string";
    fn parse(v: &Value) -> Option<Self> {
        v.as_str().map(str::to_string)
    }
    fn show(&self) -> String {
        format!("'{self}'")
    }
}

impl OptionType for Mode {
    const TS: &'static str = "Mode";
    const EXPECTED: &'static str = "'train', 'eval', 'predict' or 'viz'";
    fn parse(v: &Value) -> Option<Self> {
        let name = v.as_str()?;
        [Mode::Train, Mode::Eval, Mode::Predict, Mode::Viz].into_iter().find(|mode| mode.name() == name)
    }
    fn show(&self) -> String {
        format!("'{}'", self.name())
    }
}

impl OptionType for DType {
    const TS: &'static str = "DType";
    const EXPECTED: &'static str =
        "one of 'float32', 'float64', 'float16', 'bfloat16', 'int32', 'int64', 'uint32', 'uint8', 'bool'";
    fn parse(v: &Value) -> Option<Self> {
        DType::parse(v.as_str()?).ok()
    }
    fn show(&self) -> String {
        format!("'{}'", self.name())
    }
}

impl<T: OptionType> OptionType for Option<T> {
    const TS: &'static str = T::TS;
    const EXPECTED: &'static str = T::EXPECTED;
    fn parse(v: &Value) -> Option<Self> {
        T::parse(v).map(Some)
    }
    fn null() -> Option<Self> {
        Some(None)
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "null".into(), T::show)
    }
    fn explain(v: &Value) -> Option<String> {
        T::explain(v)
    }
}

/// Declares an enum that options name by string.
///
/// ```ignore
/// choice! {
///     /// What happens at the edges.
///     pub enum Padding: "'VALID' | 'SAME'", "'VALID' or 'SAME'" {
///         /// Only whole windows.
///         Valid = "VALID",
///         /// As many windows as positions.
///         Same = "SAME",
///     }
/// }
/// ```
#[macro_export]
macro_rules! choice {
    ($(#[doc = $doc:literal])* pub enum $E:ident: $ts:literal, $expected:literal {
        $($(#[doc = $vd:literal])* $V:ident = $name:literal),* $(,)?
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $E { $($(#[doc = $vd])* $V),* }
        impl $crate::options::OptionType for $E {
            const TS: &'static str = $ts;
            const EXPECTED: &'static str = $expected;
            fn parse(v: &serde_json::Value) -> Option<Self> {
                match v.as_str()? {
                    $($name => Some($E::$V),)*
                    _ => None,
                }
            }
            fn show(&self) -> String {
                match self { $($E::$V => concat!("'", $name, "'"),)* }.to_string()
            }
        }
    };
}

macro_rules! list {
    ($($(#[doc = $doc:literal])* $name:ident($item:ty), $expected:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name(pub Vec<$item>);
        impl OptionType for $name {
            const TS: &'static str = "readonly number[]";
            const EXPECTED: &'static str = $expected;
            fn parse(v: &Value) -> Option<Self> {
                v.as_array()?.iter().map(|v| whole(v)?.try_into().ok()).collect::<Option<_>>().map(Self)
            }
            fn show(&self) -> String {
                format!("{:?}", self.0)
            }
        }
    )*};
}
list! {
    /// A shape: sizes of at least 0.
    Shape(usize), "a list of whole numbers of at least 0";
    /// A list of whole numbers.
    Wholes(isize), "a list of whole numbers";
}

/// One axis, a list of axes, or (as `null`) all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisList(pub Vec<isize>);
impl OptionType for AxisList {
    const TS: &'static str = "number | readonly number[]";
    const EXPECTED: &'static str = "an axis or a list of axes";
    fn parse(v: &Value) -> Option<Self> {
        match v {
            Value::Array(_) => Wholes::parse(v).map(|w| Self(w.0)),
            _ => Axis::parse(v).map(|a| Self(vec![a.0])),
        }
    }
    fn show(&self) -> String {
        if let [a] = self.0[..] {
            a.to_string()
        } else {
            format!("{:?}", self.0)
        }
    }
}

fn tag(v: &Value, tag: &str) -> Option<usize> {
    v.as_object()?.get(tag)?.as_u64().map(|n| n as usize)
}

/// A layer.
#[derive(Debug, Clone)]
pub struct LayerArg(pub LayerRef);
impl OptionType for LayerArg {
    const TS: &'static str = "Layer";
    const EXPECTED: &'static str = "a layer";
    fn parse(v: &Value) -> Option<Self> {
        build::layer(tag(v, "$layer")?).map(Self)
    }
    fn show(&self) -> String {
        self.0.base().name.clone()
    }
}

impl LayerNest {
    fn read(v: &Value) -> Option<Self> {
        match v {
            Value::Null => Some(LayerNest::Null),
            Value::Array(a) => a.iter().map(Self::read).collect::<Option<_>>().map(LayerNest::List),
            _ => LayerArg::parse(v).map(|l| LayerNest::One(l.0)),
        }
    }
}
impl OptionType for LayerNest {
    const TS: &'static str = "LayerNest";
    const EXPECTED: &'static str = "a layer, null or a nested list of these";
    fn parse(v: &Value) -> Option<Self> {
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
    fn parse(v: &Value) -> Option<Self> {
        v.as_array()?.iter().map(LayerNest::read).collect::<Option<_>>().map(Self)
    }
    fn show(&self) -> String {
        "[]".into()
    }
    fn explain(v: &Value) -> Option<String> {
        let bad = v.as_array()?.iter().find(|v| LayerNest::read(v).is_none())?;
        Some(format!("must be layers, nulls or nested lists of them, got {}", crate::options::show(bad)))
    }
}

/// A function of the host language.
#[derive(Debug, Clone)]
pub struct FnArg(pub HostFnRef);
impl OptionType for FnArg {
    const TS: &'static str = "TensorFunction";
    const EXPECTED: &'static str = "a function";
    fn parse(v: &Value) -> Option<Self> {
        build::function(tag(v, "$fn")?).map(Self)
    }
    fn show(&self) -> String {
        "function".into()
    }
}

/// A tensor argument of a function.
#[derive(Debug, Clone)]
pub struct TensorArg(pub tallow_tensor::Tensor);
impl OptionType for TensorArg {
    const TS: &'static str = "TensorLike";
    const EXPECTED: &'static str = "a tensor";
    fn parse(v: &Value) -> Option<Self> {
        build::tensor(tag(v, "$tensor")?).map(Self)
    }
    fn show(&self) -> String {
        "tensor".into()
    }
}

/// Tensors in nested lists, with cache markers, as weights and state are.
#[derive(Debug, Clone)]
pub struct TensorNest(pub crate::Tree<tallow_tensor::Tensor>);
impl OptionType for TensorNest {
    const TS: &'static str = "TensorTree";
    const EXPECTED: &'static str = "a tensor or nested lists of tensors";
    fn parse(v: &Value) -> Option<Self> {
        fn read(v: &Value) -> Option<crate::Tree<tallow_tensor::Tensor>> {
            match v {
                Value::Array(a) => a.iter().map(read).collect::<Option<_>>().map(crate::Tree::Tuple),
                Value::Object(o) if o.keys().any(|k| k.starts_with("__marker_for_cached_")) => {
                    Some(crate::Tree::Cached)
                }
                Value::Object(o) if !o.contains_key("$tensor") => {
                    let entry = |(k, v): (&String, &Value)| Some((k.clone(), read(v)?));
                    o.iter().map(entry).collect::<Option<_>>().map(crate::Tree::Dict)
                }
                v => TensorArg::parse(v).map(|t| crate::Tree::Leaf(t.0)),
            }
        }
        read(v).map(Self)
    }
    fn show(&self) -> String {
        self.0.describe()
    }
}

/// The signatures of weights and of state, nested as these are.
#[derive(Debug, Clone)]
pub struct SignaturePair(pub [crate::Tree<crate::TensorSpec>; 2]);
impl OptionType for SignaturePair {
    const TS: &'static str = "readonly [SignatureTree, SignatureTree]";
    const EXPECTED: &'static str = "a pair of nested lists of {shape, dtype}";
    fn parse(v: &Value) -> Option<Self> {
        use crate::{TensorSpec, Tree};
        fn read(v: &Value) -> Option<Tree<TensorSpec>> {
            match v {
                Value::Array(a) => a.iter().map(read).collect::<Option<_>>().map(Tree::Tuple),
                Value::Object(o) if o.keys().any(|k| k.starts_with("__marker_for_cached_")) => Some(Tree::Cached),
                Value::Object(o) => match (o.get("shape"), o.get("dtype")) {
                    (Some(shape), Some(dtype)) => {
                        Some(Tree::Leaf(TensorSpec::new(Shape::parse(shape)?.0, DType::parse(dtype.as_str()?).ok()?)))
                    }
                    _ => {
                        let entry = |(k, v): (&String, &Value)| Some((k.clone(), read(v)?));
                        o.iter().map(entry).collect::<Option<_>>().map(Tree::Dict)
                    }
                },
                _ => None,
            }
        }
        match v.as_array()?.as_slice() {
            [w, s] => Some(Self([read(w)?, read(s)?])),
            _ => None,
        }
    }
    fn show(&self) -> String {
        "signatures".into()
    }
}

/// A random key argument of a function.
#[derive(Debug, Clone, Copy)]
pub struct KeyArg(pub tallow_tensor::random::Key);
impl OptionType for KeyArg {
    const TS: &'static str = "KeyLike";
    const EXPECTED: &'static str = "a random key (a uint32[2] tensor, a Uint32Array or an array of two words)";
    fn parse(v: &Value) -> Option<Self> {
        if let Value::Array(words) = v {
            let word = |v: &Value| whole(v)?.try_into().ok();
            return match &words[..] {
                [a, b] => Some(Self(tallow_tensor::random::Key([word(a)?, word(b)?]))),
                _ => None,
            };
        }
        build::tensor(tag(v, "$tensor")?).and_then(|t| build::key_of(&t)).map(Self)
    }
    fn show(&self) -> String {
        "key".into()
    }
}

/// Something that makes layers when called without arguments: a registered factory, or a host function.
#[derive(Debug, Clone)]
pub enum Factory {
    /// A registered kind with some options given.
    Kind(String, Value),
    /// A host function returning a layer.
    Host(HostFnRef),
}
impl Factory {
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
    pub fn make_with(&self, extra: &[(&str, Value)]) -> Result<LayerRef> {
        self.make_of(&[], extra)
    }
    /// As [`Factory::make_with`], behind arguments that a host function takes by place.
    ///
    /// # Errors
    /// Those of the factory; `InvalidOption` if a host function returns no layer.
    pub fn make_of(&self, by_place: &[(&str, Value)], extra: &[(&str, Value)]) -> Result<LayerRef> {
        match self {
            Factory::Kind(kind, options) => {
                let mut options = options.clone();
                if let Some(map) = options.as_object_mut() {
                    map.extend(by_place.iter().chain(extra).map(|(k, v)| ((*k).to_string(), v.clone())));
                }
                crate::registry::construct(kind, &options)
            }
            Factory::Host(f) => {
                let mut args: Vec<crate::HostValue> = by_place.iter().map(|(_, v)| build::host_value(v)).collect();
                if !extra.is_empty() {
                    args.push(crate::HostValue::Record(
                        extra.iter().map(|(k, v)| ((*k).to_string(), build::host_value(v))).collect(),
                    ));
                }
                match f.call(&args)? {
                    crate::HostValue::Layer(l) => Ok(l),
                    other => {
                        Err(crate::Error::option(format!("a layer factory must return a layer, got {}", other.what())))
                    }
                }
            }
        }
    }
}
impl OptionType for Factory {
    const TS: &'static str = "LayerFactory";
    const EXPECTED: &'static str = "a layer factory";
    fn parse(v: &Value) -> Option<Self> {
        let o = v.as_object()?;
        if let Some(kind) = o.get("$factory").and_then(Value::as_str) {
            let options = o.get("options").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            return Some(Factory::Kind(kind.to_string(), options));
        }
        build::function(tag(v, "$fn")?).map(Factory::Host)
    }
    fn show(&self) -> String {
        match self {
            Factory::Kind(k, _) => k.clone(),
            Factory::Host(_) => "function".into(),
        }
    }
}
