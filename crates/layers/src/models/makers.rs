//! Functions that make layers, as models take them. They are JavaScript's, which calls them: here it is only checked what they are.
use super::{given, named, values::Value};
use crate::{options::OptionType, Factory, HostValue};

/// Declares a type of functions that make layers.
macro_rules! maker {
    ($($(#[doc = $doc:literal])* $name:ident, $ts:literal, $expected:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            /// The factory of a registered name.
            Named(&'static str),
            /// A function that the caller gave.
            Given,
        }
        impl OptionType for $name {
            const TS: &'static str = $ts;
            const EXPECTED: &'static str = $expected;
            fn parse(v: &HostValue) -> Option<Self> {
                Factory::parse(v).map(|_| Self::Given)
            }
            fn show(&self) -> String {
                match self {
                    Self::Named(kind) => (*kind).into(),
                    Self::Given => "function".into(),
                }
            }
        }
        impl Value for $name {
            fn value(&self) -> HostValue {
                match self {
                    Self::Named(kind) => named(kind),
                    Self::Given => given(),
                }
            }
        }
    )*};
}
maker! {
    /// Makes a layer without arguments.
    LayerMaker, "LayerFactory", "a layer factory, such as tl.Relu";
    /// Makes attention.
    AttentionMaker, "AttentionType", "a function that makes attention, such as tl.SelfAttention";
    /// Makes what `AttentionResampling` resamples with.
    ResamplingMaker, "ResamplingFactory", "a function that makes a layer which resamples, such as tl.AveragePooling";
    /// Makes layers that shorten or lengthen a sequence.
    WayOfResampling, "ResamplingType", "a function that makes layers which resample, such as tl.AttentionResampling";
}

/// Makes attention; several take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionMakers {
    /// The factory of a registered name.
    Named(&'static str),
    /// So many functions that the caller gave.
    Given(usize),
}
impl AttentionMakers {
    /// How many take turns.
    pub fn len(self) -> usize {
        match self {
            Self::Named(_) => 1,
            Self::Given(n) => n,
        }
    }
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}
impl OptionType for AttentionMakers {
    const TS: &'static str = "AttentionType | readonly AttentionType[]";
    const EXPECTED: &'static str = "a function that makes attention, such as tl.SelfAttention, or a list of such";
    fn parse(v: &HostValue) -> Option<Self> {
        match v.list() {
            Some(items) => items.iter().all(|v| AttentionMaker::parse(v).is_some()).then_some(Self::Given(items.len())),
            None => AttentionMaker::parse(v).map(|_| Self::Given(1)),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Named(kind) => (*kind).into(),
            Self::Given(_) => "functions".into(),
        }
    }
}
impl Value for AttentionMakers {
    fn value(&self) -> HostValue {
        match self {
            Self::Named(kind) => named(kind),
            Self::Given(_) => given(),
        }
    }
}
