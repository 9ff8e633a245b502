//! What of a file fits a layer, and what does not.
use crate::Error;
use tallow_layers::{ErrorKind, TensorSpec};

/// What was taken of a file, and what did not fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// The tensors of the layer that the file gave.
    pub taken: Vec<String>,
    /// Those that the file has not.
    pub missing: Vec<String>,
    /// Tensors of the file that the layer has not, by their names there.
    pub unused: Vec<String>,
    /// Those that are of another shape or type in the file.
    pub mismatched: Vec<Mismatch>,
}

/// A tensor that is of another shape or type in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Its name.
    pub name: String,
    /// What it is in the file.
    pub file: TensorSpec,
    /// What it is in the layer.
    pub model: TensorSpec,
}

/// How many differences an error tells.
const TOLD: usize = 10;
/// How one says that one wants the state left out.
const WITHOUT_STATE: &str = "initFromFile with `weightsOnly: true` leaves the state out";

impl LoadReport {
    /// Whether nothing is missing, left over, or of another shape.
    pub(crate) fn fits(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.mismatched.is_empty()
    }
    /// Adds what another report says.
    pub(crate) fn extend(&mut self, other: Self) {
        self.taken.extend(other.taken);
        self.missing.extend(other.missing);
        self.unused.extend(other.unused);
        self.mismatched.extend(other.mismatched);
    }
    /// Names the layer's tensors as a layer does in which it stands at `path`.
    pub(crate) fn within(mut self, path: &str) -> Self {
        let named = |name: &String| match name.split_once('/') {
            Some((kind, rest)) => format!("{kind}/{path}/{rest}"),
            None => format!("{name}/{path}"),
        };
        for name in self.taken.iter_mut().chain(&mut self.missing) {
            *name = named(name);
        }
        for m in &mut self.mismatched {
            m.name = named(&m.name);
        }
        self
    }
    /// The error for a file that must fit and does not: the first difference in full, `hint` being what may have happened to a missing tensor,
    /// and a list of the next.
    pub(crate) fn refusal(&self, hint: impl Fn(&str) -> String) -> Option<Error> {
        let mut all: Vec<(&str, String, String)> = Vec::new();
        for name in &self.missing {
            let first = if is_state(name) { format!("the file has no tensor {name}") } else { hint(name) };
            all.push((name, first, format!("{name} is missing in the file")));
        }
        for Mismatch { name, file, model } in &self.mismatched {
            let both = format!("{name} is {file} in the file, but {model} in the model");
            all.push((name, both.clone(), both));
        }
        for name in &self.unused {
            let first = format!("the file has a tensor {name} that the model has not");
            all.push((name, first, format!("{name} is in the file alone")));
        }
        // Weights before state; the sort is stable.
        all.sort_by_key(|(name, ..)| is_state(name));
        let ((name, what, _), others) = all.split_first()?;
        let mut what = what.clone();
        if !others.is_empty() {
            let told: Vec<&str> = others.iter().take(TOLD - 1).map(|(_, _, short)| short.as_str()).collect();
            let and = if what.ends_with('?') { " T" } else { "; t" };
            let count = match others.len() {
                1 => "is 1 more difference".to_string(),
                n => format!("are {n} more differences"),
            };
            what += &format!("{and}here {count}: {}", told.join("; "));
            if others.len() > told.len() {
                what += &format!("; and {} more", others.len() - told.len());
            }
        }
        if is_state(name) {
            what += &format!("; {WITHOUT_STATE}");
        }
        Some(Error::new(ErrorKind::WeightsMismatch, what))
    }
}

/// Whether a name is that of a tensor of a kind.
pub(crate) fn is_of(kind: &str, name: &str) -> bool {
    name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_state(name: &str) -> bool {
    is_of("state", name)
}
