//! The parts that names of tensors in files are made of.

/// One part of a name: a place in a layer's own tree, or a layer by its position and name. In this order they are met: a layer's own
/// tensors first, then those of its sublayers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part<'a> {
    Number(usize),
    Key(&'a str),
    Layer(usize, &'a str),
}

pub(super) fn part(text: &str) -> Part<'_> {
    match text.split_once('.') {
        None => text.parse().map_or(Part::Key(text), Part::Number),
        Some((at, name)) => at.parse().map_or(Part::Key(text), |at| Part::Layer(at, name)),
    }
}

pub(super) fn parts(name: &str) -> Vec<Part<'_>> {
    name.split('/').skip(1).map(part).collect()
}

/// The innermost layer that a name leads to, and the place in its own tree.
pub(super) fn innermost<'a, 'b>(parts: &'b [Part<'a>]) -> (Option<&'a str>, &'b [Part<'a>]) {
    let at = parts.iter().rposition(|p| matches!(p, Part::Layer(..)));
    let name = at.and_then(|at| match &parts[at] {
        Part::Layer(_, name) => Some(*name),
        _ => None,
    });
    (name, &parts[at.map_or(0, |at| at + 1)..])
}
