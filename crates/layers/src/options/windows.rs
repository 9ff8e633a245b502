//! Options of layers that move windows over spatial axes: sizes, strides, padding.
use crate::{options::OptionType, Error, HostValue, Result};
use tallow_tensor::ops::Padding;

/// Sizes of at least 1, one for each spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes(pub Vec<usize>);

impl OptionType for Sizes {
    const TS: &'static str = "readonly number[]";
    const EXPECTED: &'static str = "a list of whole numbers of at least 1";
    fn parse(v: &HostValue) -> Option<Self> {
        v.list()?.iter().map(|v| crate::Dim::parse(v).map(|d| d.0)).collect::<Option<_>>().map(Self)
    }
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// What lies beyond the ends of spatial axes: `'VALID'`, `'SAME'` or pairs of positions before and after each axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaddingArg(pub Padding);

impl OptionType for PaddingArg {
    const TS: &'static str = "'VALID' | 'SAME' | readonly (readonly [before: number, after: number])[]";
    const EXPECTED: &'static str = "'VALID', 'SAME' or a list of pairs [before, after] of whole numbers";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Text(s) if s == "VALID" => Some(Self(Padding::Valid)),
            HostValue::Text(s) if s == "SAME" => Some(Self(Padding::Same)),
            HostValue::List(pairs) => {
                let pair = |v: &HostValue| match crate::Wholes::parse(v)?.0[..] {
                    [before, after] => Some((before, after)),
                    _ => None,
                };
                pairs.iter().map(pair).collect::<Option<_>>().map(|p| Self(Padding::Explicit(p)))
            }
            _ => None,
        }
    }
    fn show(&self) -> String {
        match &self.0 {
            Padding::Valid => "'VALID'".into(),
            Padding::Same => "'SAME'".into(),
            Padding::Explicit(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(a, b)| format!("[{a}, {b}]")).collect();
                format!("[{}]", pairs.join(", "))
            }
        }
    }
}

/// Strides, or ones where they were left out.
///
/// # Errors
/// `InvalidOption` naming `kind` and the option when there are not `rank` of them.
pub(crate) fn per_axis(kind: &str, option: &str, sizes: Option<Sizes>, rank: usize) -> Result<Vec<usize>> {
    match sizes {
        None => Ok(vec![1; rank]),
        Some(Sizes(sizes)) if sizes.len() == rank => Ok(sizes),
        Some(Sizes(sizes)) => Err(count(kind, option, format!("{sizes:?}"), sizes.len(), rank)),
    }
}

/// Refuses explicit padding of another number of axes than `rank`.
///
/// # Errors
/// `InvalidOption` naming `kind`.
pub(crate) fn check_padding(kind: &str, padding: &PaddingArg, rank: usize) -> Result<()> {
    match &padding.0 {
        Padding::Explicit(pairs) if pairs.len() != rank => {
            Err(count(kind, "padding", padding.show(), pairs.len(), rank))
        }
        _ => Ok(()),
    }
}

fn count(kind: &str, option: &str, shown: String, have: usize, rank: usize) -> Error {
    let s = if rank == 1 { "y" } else { "ies" };
    Error::option(format!(
        "{kind}: `{option}` must have {rank} entr{s}, one for each spatial axis, got {have}: {shown}"
    ))
}
