//! What options of decoding can be beside what options of layers are: shares, biases, ids, strings to stop at.
use tallow_layers::{
    options::{show, OptionType},
    Error, ErrorKind, HostValue, Result,
};
use tallow_tensor::{DType, Tensor};

/// The most that an id can be: ids are int32.
const LAST_ID: f64 = i32::MAX as f64;

/// A whole number that is an id, whether or not a model has it.
fn id(v: &HostValue) -> Option<i32> {
    v.number().filter(|n| n.fract() == 0.0 && (0.0..=LAST_ID).contains(n)).map(|n| n as i32)
}

/// A share of all probability: above 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);
impl OptionType for Share {
    const TS: &'static str = "number";
    const EXPECTED: &'static str = "above 0 and at most 1";
    fn parse(v: &HostValue) -> Option<Self> {
        v.number().filter(|&p| p > 0.0 && p <= 1.0).map(Self)
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// The id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub i32);
impl OptionType for Id {
    const TS: &'static str = "number";
    const EXPECTED: &'static str = "the id of a token (a whole number of at least 0)";
    fn parse(v: &HostValue) -> Option<Self> {
        id(v).map(Self)
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// Ids of tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdList(pub Vec<i32>);
impl OptionType for IdList {
    const TS: &'static str = "readonly number[]";
    const EXPECTED: &'static str = "a list of ids of tokens (whole numbers of at least 0)";
    fn parse(v: &HostValue) -> Option<Self> {
        v.list()?.iter().map(id).collect::<Option<_>>().map(Self)
    }
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// What is added to the logits of tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogitBias(pub Vec<(i32, f64)>);
impl OptionType for LogitBias {
    const TS: &'static str = "Readonly<Record<number, number>>";
    const EXPECTED: &'static str = "an object of ids and what is added to their logits: finite numbers, or -Infinity";
    fn parse(v: &HostValue) -> Option<Self> {
        let bias = |(name, value): &(String, HostValue)| {
            let added = value.number().filter(|&b| b < f64::INFINITY)?;
            // As JavaScript writes a whole number, and no other way.
            let id = name.parse::<i32>().ok().filter(|id| *id >= 0 && id.to_string() == *name)?;
            Some((id, added))
        };
        v.record()?.iter().map(bias).collect::<Option<_>>().map(Self)
    }
    fn show(&self) -> String {
        "{}".to_owned()
    }
}

/// Strings that end a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stops(pub Vec<String>);
impl OptionType for Stops {
    const TS: &'static str = "string | readonly string[]";
    const EXPECTED: &'static str = "a string, or a list of strings, with at least one character each";
    fn parse(v: &HostValue) -> Option<Self> {
        let one = |v: &HostValue| v.text().filter(|s| !s.is_empty()).map(str::to_owned);
        match v {
            HostValue::List(items) => items.iter().map(one).collect::<Option<_>>().map(Self),
            _ => one(v).map(|s| Self(vec![s])),
        }
    }
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The ids of one sequence: a list of numbers, or a tensor of integers.
///
/// # Errors
/// `InvalidArgument` for anything else, and for what no id can be.
pub fn ids_of(what: &str, v: &HostValue) -> Result<Vec<i32>> {
    let wrong = |got: String| {
        let text = format!("{what} must be ids of tokens (whole numbers of at least 0), got {got}");
        Error::new(ErrorKind::InvalidArgument, text)
    };
    match v {
        HostValue::List(items) => {
            let at = |(i, v): (usize, &HostValue)| id(v).ok_or_else(|| wrong(format!("{} at [{i}]", show(v))));
            items.iter().enumerate().map(at).collect()
        }
        HostValue::Tensor(t) => {
            if !is_row(t) || t.dtype().is_float() || t.dtype() == DType::Bool {
                return Err(wrong(format!("a tensor {}{:?}", t.dtype(), t.shape())));
            }
            let read = t.detach().cast(DType::I64)?.to_vec::<i64>()?;
            let id = |&n: &i64| i32::try_from(n).ok().filter(|n| *n >= 0).ok_or_else(|| wrong(n.to_string()));
            read.iter().map(id).collect()
        }
        other => Err(wrong(show(other))),
    }
}

/// Whether a tensor is one sequence: `[length]` or `[1, length]`.
fn is_row(t: &Tensor) -> bool {
    matches!(t.shape(), [_] | [1, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_whole_numbers_of_at_least_0() {
        let list = |x: &[f64]| HostValue::List(x.iter().map(|&n| HostValue::Number(n)).collect());
        assert_eq!(ids_of("prompt", &list(&[3.0, 0.0])).unwrap(), [3, 0]);
        for wrong in [-1.0, 0.5, f64::NAN, 2_147_483_648.0] {
            let e = ids_of("prompt", &list(&[1.0, wrong])).unwrap_err();
            assert!(e.message().contains("at [1]"), "{}", e.message());
        }
        let row = Tensor::from_vec(vec![4i32, 5], &[1, 2]).unwrap();
        assert_eq!(ids_of("prompt", &HostValue::Tensor(row)).unwrap(), [4, 5]);
        let two = Tensor::from_vec(vec![4i32, 5], &[2, 1]).unwrap();
        assert!(ids_of("prompt", &HostValue::Tensor(two)).is_err());
        assert!(ids_of("prompt", &HostValue::Tensor(Tensor::from_vec(vec![1f32], &[1]).unwrap())).is_err());
    }

    #[test]
    fn a_bias_names_ids_and_may_forbid_them() {
        let bias = |name: &str, b: f64| {
            LogitBias::parse(&HostValue::Record(vec![(name.to_owned(), HostValue::Number(b))])).map(|l| l.0)
        };
        assert_eq!(bias("7", f64::NEG_INFINITY), Some(vec![(7, f64::NEG_INFINITY)]));
        for (name, b) in [("-1", 0.0), ("07", 0.0), ("a", 0.0), ("1", f64::NAN), ("1", f64::INFINITY)] {
            assert_eq!(bias(name, b), None, "{name} {b}");
        }
    }
}
