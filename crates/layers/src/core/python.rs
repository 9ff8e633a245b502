//! Names that contain values as Python writes them.

/// A tuple as Python writes it, which some of Trax's names contain.
pub(crate) fn python_tuple<T: ToString>(shape: &[T]) -> String {
    match shape {
        [n] => format!("({},)", n.to_string()),
        _ => format!("({})", shape.iter().map(T::to_string).collect::<Vec<_>>().join(", ")),
    }
}
