//! What `SummaryScalar` and `SummaryImage` keep in the state of a model.
use super::{image, Value};
use crate::Result;
use tallow_layers::{for_each_instance, held, LayerRef, Tree};
use tallow_tensor::Tensor;

/// How the names of summaries begin in a state; Trax knows them by it too.
pub(crate) const PREFIX: &str = "summary_";

/// The summaries that layers of `model` hold, by their names in the state: one number as a scalar, else as an image.
///
/// # Errors
/// `ShapeMismatch` for one that is neither.
pub(super) fn of(model: &LayerRef) -> Result<Vec<(String, Value)>> {
    let (_, state) = held(model);
    let mut found: Vec<(&str, &Tensor)> = Vec::new();
    for_each_instance(model, &mut |l| {
        if let Some(tree) = state.get(&l.base().id) {
            collect(tree, &mut found);
        }
    });
    let value = |(tag, t): (&str, &Tensor)| {
        let value = if t.rank() == 0 { Value::Scalar(t.item()? as f32) } else { image::of(tag, t)? };
        Ok((tag.to_string(), value))
    };
    found.into_iter().map(value).collect()
}

fn collect<'a>(tree: &'a Tree<Tensor>, found: &mut Vec<(&'a str, &'a Tensor)>) {
    match tree {
        Tree::Tuple(items) => items.iter().for_each(|t| collect(t, found)),
        Tree::Dict(entries) => {
            for (name, value) in entries {
                match value {
                    Tree::Leaf(t) if name.starts_with(PREFIX) => found.push((name, t)),
                    other => collect(other, found),
                }
            }
        }
        _ => {}
    }
}
