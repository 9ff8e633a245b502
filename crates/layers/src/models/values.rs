//! Domains that only options of models have, and what values of all domains are to the composition.
use crate::{
    choice, options::OptionType, research::sparsity::SparsityType, Count, Dim, Fraction, HostValue, Mode, NotNegative,
    Num, Positive, Rate, Shape, Wholes,
};

/// Options whose values are simpler for the composition than what may be given: their names and TypeScript types.
pub const FILLED_TYPES: &[(&str, &str)] = &[
    ("encDecAttentionSparsity", "readonly [qSparsity: number | 'noop' | null, resultSparsity: number | 'noop' | null]"),
    (
        "ffSparsity",
        "number | readonly [nElementsInBlock: number, dLowrank: number] | \
         readonly [nElementsInBlock: number, dLowrank: number, temperature: number, quantProb: number]",
    ),
    ("ffUseSru", "readonly [layers: number, units: number]"),
    ("hierarchy", "readonly (readonly [blocks: number, factor: number])[]"),
];

/// The most layers of a kind that a model is made of: more are a mistake, and would take all memory before anything could say so.
const MOST_LAYERS: usize = 10_000;

/// A number of layers: a whole number of at least 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layers(pub usize);

impl OptionType for Layers {
    const TS: &'static str = Count::TS;
    const EXPECTED: &'static str = Count::EXPECTED;
    fn parse(v: &HostValue) -> Option<Self> {
        Count::parse(v).filter(|n| n.0 <= MOST_LAYERS).map(|n| Self(n.0))
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
    fn explain(v: &HostValue) -> Option<String> {
        Self::too_many(v)
    }
}
impl Layers {
    /// Why a number is refused that would be one of layers, were it smaller.
    fn too_many(v: &HostValue) -> Option<String> {
        let n = Count::parse(v).filter(|n| n.0 > MOST_LAYERS)?;
        Some(format!("must be at most {MOST_LAYERS} layers, got {}", n.0))
    }
}

/// A type of models' options: what its values are in TypeScript.
pub trait Value: OptionType {
    /// The value, for the host.
    fn value(&self) -> HostValue;
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl Value for $t {
            fn value(&self) -> HostValue {
                HostValue::Number(self.0 as f64)
            }
        }
    )*};
}
numbers!(Dim, Count, Layers, Rate, Fraction, Num, NotNegative, Positive);

macro_rules! lists {
    ($($t:ty),*) => {$(
        impl Value for $t {
            fn value(&self) -> HostValue {
                HostValue::List(self.0.iter().map(|&n| HostValue::Number(n as f64)).collect())
            }
        }
    )*};
}
lists!(Shape, Wholes);

/// Values that TypeScript writes as quoted text.
macro_rules! texts {
    ($($t:ty),*) => {$(
        impl Value for $t {
            fn value(&self) -> HostValue {
                HostValue::Text(self.show().trim_matches('\'').into())
            }
        }
    )*};
}
texts!(Mode, WholeMode, PositionType, FeedForwardSparsityType, SparsityType);

impl Value for String {
    fn value(&self) -> HostValue {
        HostValue::Text(self.clone())
    }
}

impl Value for bool {
    fn value(&self) -> HostValue {
        HostValue::Bool(*self)
    }
}

impl<T: Value> Value for Option<T> {
    fn value(&self) -> HostValue {
        self.as_ref().map_or(HostValue::Null, T::value)
    }
}

choice! {
    /// How positions are told apart.
    pub enum PositionType: "'sin-cos' | 'fixed-base' | 'infinite' | 'infinite-affine' | 'axial' | 'no' | ''",
        "null, 'sin-cos', 'fixed-base', 'infinite', 'infinite-affine', 'axial' or 'no'" {
        /// `SinCosPositionalEncoding`.
        SinCos = "sin-cos",
        /// `FixedBasePositionalEncoding`.
        FixedBase = "fixed-base",
        /// `InfinitePositionalEncoding` without an affine map.
        Infinite = "infinite",
        /// `InfinitePositionalEncoding`.
        InfiniteAffine = "infinite-affine",
        /// `AxialPositionalEncoding`.
        Axial = "axial",
        /// Not at all.
        No = "no",
        /// `PositionalEncoding`, as for null.
        Table = "",
    }
}

choice! {
    /// What stands in for a dense feed-forward part.
    pub enum FeedForwardSparsityType: "'1inN' | 'Block' | 'Switch'", "'1inN', 'Block' or 'Switch'" {
        /// `SparseFF`.
        OneInN = "1inN",
        /// `BlockSparseFF`.
        Block = "Block",
        /// `SwitchSparseFF`.
        Switch = "Switch",
    }
}

/// The mode of models that compute several positions as one, which have no mode `'predict'`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeMode(pub Mode);
impl OptionType for WholeMode {
    const TS: &'static str = "Exclude<Mode, 'predict'>";
    const EXPECTED: &'static str = "'train', 'eval' or 'viz'";
    fn parse(v: &HostValue) -> Option<Self> {
        Mode::parse(v).filter(|mode| *mode != Mode::Predict).map(Self)
    }
    fn show(&self) -> String {
        self.0.show()
    }
    fn explain(v: &HostValue) -> Option<String> {
        let predict = Mode::parse(v) == Some(Mode::Predict);
        predict.then(|| "cannot be 'predict', as several positions are computed as one".into())
    }
}

/// How many recurrent layers stand beside a feed-forward part, and their units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recurrent {
    /// Layers.
    pub layers: usize,
    /// Units of each.
    pub units: usize,
}
impl Recurrent {
    /// None.
    pub const NONE: Self = Self { layers: 0, units: 32 };
}
impl OptionType for Recurrent {
    const TS: &'static str = "number | readonly [layers: number, units: number]";
    const EXPECTED: &'static str = "a whole number of at least 0, or a pair of layers and units";
    fn parse(v: &HostValue) -> Option<Self> {
        match v.list() {
            Some([layers, units]) => Some(Self { layers: Layers::parse(layers)?.0, units: Dim::parse(units)?.0 }),
            Some(_) => None,
            None => Layers::parse(v).map(|n| Self { layers: n.0, ..Self::NONE }),
        }
    }
    fn show(&self) -> String {
        self.layers.to_string()
    }
    fn explain(v: &HostValue) -> Option<String> {
        match v.list() {
            Some([layers, units]) => Dim::parse(units).and_then(|_| Layers::too_many(layers)),
            Some(_) => None,
            None => Layers::too_many(v),
        }
    }
}
impl Value for Recurrent {
    /// The pair.
    fn value(&self) -> HostValue {
        HostValue::shape(&[self.layers, self.units])
    }
}

/// How a feed-forward part is thinned out: not at all, to one in so many units or experts, or as a list of what `SparseFF` takes.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedForwardSparsity {
    /// So many; 0: dense.
    Number(usize),
    /// `nElementsInBlock`, `dLowrank`, and perhaps `temperature` and `quantProb`.
    List(Vec<f64>),
}
impl FeedForwardSparsity {
    fn list(numbers: Vec<f64>) -> Option<Self> {
        matches!(numbers.len(), 2 | 4).then_some(Self::List(numbers))
    }
}
impl OptionType for FeedForwardSparsity {
    const TS: &'static str = "number | string | readonly [nElementsInBlock: number, dLowrank: number] | \
                              readonly [nElementsInBlock: number, dLowrank: number, temperature: number, quantProb: number]";
    const EXPECTED: &'static str = "a number or a list of 2 or 4 numbers";
    fn parse(v: &HostValue) -> Option<Self> {
        if let Some(text) = v.text() {
            let numbers = text.split_whitespace().map(|word| word.parse::<f64>().ok().filter(|n| n.is_finite()));
            return Self::list(numbers.collect::<Option<_>>()?);
        }
        match v.list() {
            Some(items) => Self::list(items.iter().map(|v| Num::parse(v).map(|n| n.0)).collect::<Option<_>>()?),
            None => Count::parse(v).map(|n| Self::Number(n.0)),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::List(numbers) => format!("{numbers:?}"),
        }
    }
    fn explain(v: &HostValue) -> Option<String> {
        let number = v.number()?;
        Some(format!("must be a whole number of at least 0, got {number}"))
    }
}
impl Value for FeedForwardSparsity {
    fn value(&self) -> HostValue {
        match self {
            Self::Number(n) => HostValue::Number(*n as f64),
            Self::List(numbers) => HostValue::List(numbers.iter().map(|&n| HostValue::Number(n)).collect()),
        }
    }
}

/// Modules of the sparse projections in attention to an encoder: those of queries, and of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionSparsity(pub [Option<Projection>; 2]);

/// A sparse projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// No projection.
    Noop,
    /// So many modules.
    Modules(usize),
}

impl AttentionSparsity {
    fn one(v: &HostValue) -> Option<Option<Projection>> {
        match v {
            HostValue::Null => Some(None),
            HostValue::Text(s) if s == "noop" => Some(Some(Projection::Noop)),
            v => Count::parse(v).map(|n| (n.0 > 0).then_some(Projection::Modules(n.0))),
        }
    }
}
impl OptionType for AttentionSparsity {
    const TS: &'static str =
        "number | readonly [qSparsity: number | 'noop' | null, resultSparsity: number | 'noop' | null]";
    const EXPECTED: &'static str = "a number or a pair of numbers, 'noop' or null";
    fn parse(v: &HostValue) -> Option<Self> {
        match v.list() {
            Some([query, result]) => Some(Self([Self::one(query)?, Self::one(result)?])),
            Some(_) => None,
            None => Count::parse(v).map(|n| match n.0 {
                0 => Self([None, None]),
                n => Self([Some(Projection::Modules(n)), Some(Projection::Noop)]),
            }),
        }
    }
    fn show(&self) -> String {
        match self.0 {
            [Some(Projection::Modules(n)), _] => n.to_string(),
            _ => "0".into(),
        }
    }
}
impl Value for AttentionSparsity {
    /// The pair.
    fn value(&self) -> HostValue {
        let one = |projection: &Option<Projection>| match projection {
            None => HostValue::Null,
            Some(Projection::Noop) => HostValue::Text("noop".into()),
            Some(Projection::Modules(n)) => HostValue::Number(*n as f64),
        };
        HostValue::List(self.0.iter().map(one).collect())
    }
}

/// Numbers of blocks before and after what is between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks(pub [usize; 2]);
impl OptionType for Blocks {
    const TS: &'static str = "readonly [before: number, after: number]";
    const EXPECTED: &'static str = "two numbers of blocks, before and after";
    fn parse(v: &HostValue) -> Option<Self> {
        match v.list()? {
            [before, after] => Some(Self([Layers::parse(before)?.0, Layers::parse(after)?.0])),
            _ => None,
        }
    }
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
    fn explain(v: &HostValue) -> Option<String> {
        let items = v.list().filter(|items| items.len() == 2)?;
        let (bad, place) = items.iter().zip(["before", "after"]).find(|(v, _)| Layers::parse(v).is_none())?;
        let why = || format!("must be {}, got {}", Count::EXPECTED, crate::options::show(bad));
        Some(format!("{} for the blocks {place}", Layers::too_many(bad).unwrap_or_else(why)))
    }
}
impl Value for Blocks {
    fn value(&self) -> HostValue {
        HostValue::shape(&self.0)
    }
}

/// Levels of blocks that see groups of tokens as one position, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    written: String,
    /// Blocks of each level, and by how much it is shorter than the level around it.
    pub levels: Vec<[usize; 2]>,
}
impl Hierarchy {
    /// One level.
    pub fn one(blocks: usize, factor: usize) -> Self {
        Self { written: format!("{blocks}@{factor}"), levels: vec![[blocks, factor]] }
    }
    fn read(written: &str) -> Result<Self, String> {
        let words: Vec<&str> = written.split(' ').collect();
        if !words.iter().eq(words.iter().rev()) {
            return Err("must read the same backwards, as '1@2 4@6 1@2'".into());
        }
        let number =
            |word: &str| word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse::<usize>().ok()).flatten();
        let mut around = 1;
        let level = |word: &&str| {
            let form = "must hold levels of blocks and tokens, as '4@6'";
            let (blocks, tokens) = word.split_once('@').ok_or(form)?;
            let (blocks, tokens) = (number(blocks).ok_or(form)?, number(tokens).ok_or(form)?);
            if blocks > MOST_LAYERS {
                return Err(format!("must have at most {MOST_LAYERS} blocks in each level"));
            }
            if tokens <= around || tokens % around != 0 {
                return Err("must have more tokens in each level, and a multiple of those in the one around it".into());
            }
            let factor = tokens / around;
            around = tokens;
            Ok([blocks, factor])
        };
        let levels = words[..words.len() / 2 + 1].iter().map(level).collect::<Result<_, _>>()?;
        Ok(Self { written: written.into(), levels })
    }
}
impl OptionType for Hierarchy {
    const TS: &'static str = "string";
    const EXPECTED: &'static str = "a string";
    fn parse(v: &HostValue) -> Option<Self> {
        Self::read(v.text()?).ok()
    }
    fn show(&self) -> String {
        format!("'{}'", self.written)
    }
    fn explain(v: &HostValue) -> Option<String> {
        let why = Self::read(v.text()?).err()?;
        Some(format!("{why}, got {}", crate::options::show(v)))
    }
}
impl Value for Hierarchy {
    /// The levels, a pair of blocks and factor each.
    fn value(&self) -> HostValue {
        HostValue::List(self.levels.iter().map(|level| HostValue::shape(level)).collect())
    }
}
