//! Names as an option.
use tallow_layers::{options::OptionType, HostValue};

/// A list of strings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names(pub Vec<String>);

impl OptionType for Names {
    const TS: &'static str = "readonly string[]";
    const EXPECTED: &'static str = "a list of strings";
    fn parse(v: &HostValue) -> Option<Self> {
        v.list()?.iter().map(|name| name.text().map(str::to_owned)).collect::<Option<_>>().map(Self)
    }
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}
