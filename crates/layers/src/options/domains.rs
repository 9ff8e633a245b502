//! The domains options take their values from; each words its own refusal.
use crate::{
    options::{show, OptionType},
    HostValue, Mode,
};
use tallow_tensor::DType;

macro_rules! domain {
    ($(#[doc = $doc:literal])* $name:ident($inner:ty), $ts:literal, $expected:literal, $parse:expr, $show:expr $(, $explain:expr)?) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name(pub $inner);
        impl OptionType for $name {
            const TS: &'static str = $ts;
            const EXPECTED: &'static str = $expected;
            fn parse(v: &HostValue) -> Option<Self> {
                let parse: fn(&HostValue) -> Option<$inner> = $parse;
                parse(v).map(Self)
            }
            fn show(&self) -> String {
                let show: fn($inner) -> String = $show;
                show(self.0)
            }
            $(fn explain(v: &HostValue) -> Option<String> {
                let explain: fn(&HostValue) -> Option<String> = $explain;
                explain(v)
            })?
        }
    };
}

/// A whole number, of those that 64 bits hold.
pub(super) fn whole(v: &HostValue) -> Option<i64> {
    const ABOVE: f64 = 9_223_372_036_854_775_808.0;
    v.number().filter(|f| f.fract() == 0.0 && (-ABOVE..ABOVE).contains(f)).map(|f| f as i64)
}

/// What is wrong with a number that is not finite, whatever else it must be.
fn not_finite(v: &HostValue) -> Option<String> {
    v.number().filter(|f| !f.is_finite()).map(|_| format!("must be {}, got {}", Num::EXPECTED, show(v)))
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
    /// A rate, such as the probability of dropping: at least 0 and below 1.
    Rate(f64), "number", "at least 0 and below 1", |v| v.number().filter(|f| (0.0..1.0).contains(f)), |f| f.to_string()
);
domain!(
    /// A share: from 0 to 1.
    Fraction(f64), "number", "from 0 to 1", |v| v.number().filter(|f| (0.0..=1.0).contains(f)), |f| f.to_string()
);
domain!(
    /// A finite number.
    Num(f64), "number", "a finite number", |v| v.number().filter(|f| f.is_finite()), |f| f.to_string()
);
domain!(
    /// A number of at least 0.
    NotNegative(f64), "number", "a number of at least 0", |v| v.number().filter(|f| f.is_finite() && *f >= 0.0),
    |f| f.to_string(), not_finite
);
domain!(
    /// A number above 0.
    Positive(f64), "number", "a number above 0", |v| v.number().filter(|f| f.is_finite() && *f > 0.0), |f| f.to_string()
);

impl OptionType for bool {
    const TS: &'static str = "boolean";
    const EXPECTED: &'static str = "true or false";
    fn parse(v: &HostValue) -> Option<Self> {
        v.boolean()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl OptionType for String {
    const TS: &'static str = "string";
    const EXPECTED: &'static str = "a string";
    fn parse(v: &HostValue) -> Option<Self> {
        v.text().map(str::to_string)
    }
    fn show(&self) -> String {
        format!("'{self}'")
    }
}

impl OptionType for Mode {
    const TS: &'static str = "Mode";
    const EXPECTED: &'static str = "'train', 'eval', 'predict' or 'viz'";
    fn parse(v: &HostValue) -> Option<Self> {
        let name = v.text()?;
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
    fn parse(v: &HostValue) -> Option<Self> {
        DType::parse(v.text()?).ok()
    }
    fn show(&self) -> String {
        format!("'{}'", self.name())
    }
}

impl<T: OptionType> OptionType for Option<T> {
    const TS: &'static str = T::TS;
    const EXPECTED: &'static str = T::EXPECTED;
    fn parse(v: &HostValue) -> Option<Self> {
        T::parse(v).map(Some)
    }
    fn null() -> Option<Self> {
        Some(None)
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "null".into(), T::show)
    }
    fn explain(v: &HostValue) -> Option<String> {
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
            fn parse(v: &$crate::HostValue) -> Option<Self> {
                match v.text()? {
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
            fn parse(v: &HostValue) -> Option<Self> {
                v.list()?.iter().map(|v| whole(v)?.try_into().ok()).collect::<Option<_>>().map(Self)
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
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::List(_) => Wholes::parse(v).map(|w| Self(w.0)),
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
