//! Arithmetic on stack items, and joining and splitting tensors.
use crate::{
    framework::pure::{elementwise2, elementwise_of, pure_layer},
    options, Axis, Dim, Error, LayerRef, Result, TensorSpec,
};
use tallow_tensor::{memory, Tensor};

options! {
    /// Adds two tensors.
    ///
    /// Shapes: any two that broadcast. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for shapes that do not broadcast.
    pub struct AddOptions for "Add" () {}
}

options! {
    /// Subtracts the first tensor from the second.
    ///
    /// Shapes: any two that broadcast. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for shapes that do not broadcast.
    pub struct SubtractTopOptions for "SubtractTop" () {}
}

options! {
    /// Multiplies two tensors.
    ///
    /// Shapes: any two that broadcast. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for shapes that do not broadcast.
    pub struct MultiplyOptions for "Multiply" () {}
}

options! {
    /// Mixes `(memory, gate, candidate)` as highway networks do: `gate * memory + (1 - gate) * candidate`.
    ///
    /// Shapes: any three that broadcast. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for shapes that do not broadcast.
    pub struct GateOptions for "Gate" () {}
}

options! {
    /// Joins tensors along an axis.
    ///
    /// Shapes: equal but for `axis`, whose sizes add up. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for shapes that differ elsewhere.
    pub struct ConcatenateOptions for "Concatenate" () {
        /// Number of tensors.
        n_items "nItems": Dim = Dim(2),
        /// Axis to join along.
        axis "axis": Axis = Axis(-1),
    }
}

options! {
    /// Splits a tensor into equal parts along an axis.
    ///
    /// Shapes: `axis` becomes `1 / nItems` of its size in each output. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for a size that `nItems` does not divide.
    pub struct SplitOptions for "Split" () {
        /// Number of parts.
        n_items "nItems": Dim = Dim(2),
        /// Axis to split.
        axis "axis": Axis = Axis(-1),
    }
}

/// `x0 + x1`.
pub fn add() -> LayerRef {
    elementwise2("Add", Tensor::add)
}

/// `x1 - x0`.
pub fn subtract_top() -> LayerRef {
    elementwise2("SubtractTop", |a, b| b.sub(a))
}

/// `x0 * x1`.
pub fn multiply() -> LayerRef {
    elementwise2("Multiply", Tensor::mul)
}

/// `gate * memory + (1 - gate) * candidate` of `(memory, gate, candidate)`.
pub fn gate() -> LayerRef {
    elementwise_of("Gate", 3, |xs| {
        let [m, g, c] = [&xs[0], &xs[1], &xs[2]];
        Ok(g.mul(m)?.add(&g.rsub_scalar(1.0)?.mul(c)?)?)
    })
}

/// Joins `n_items` tensors along `axis`.
pub fn concatenate(n_items: usize, axis: isize) -> LayerRef {
    let name = if axis == -1 { "Concatenate".to_string() } else { format!("Concatenate_axis{axis}") };
    let signature = move |s: &[TensorSpec]| joined(s, axis);
    pure_layer(name, n_items, 1, signature, move |xs| {
        let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
        let dtype = joined(&specs, axis)?[0].dtype;
        let same = xs.iter().map(|x| x.cast(dtype)).collect::<tallow_tensor::Result<Vec<_>>>()?;
        Ok(vec![Tensor::concat(&same, axis)?])
    })
}

fn joined(s: &[TensorSpec], axis: isize) -> Result<Vec<TensorSpec>> {
    let mut out = s[0].clone();
    let at = out.axis(axis)?;
    for other in &s[1..] {
        let fits = other.rank() == out.rank() && (0..out.rank()).all(|i| i == at || other.shape[i] == out.shape[i]);
        if !fits {
            return Err(Error::shape(format!("{} and {other} cannot be joined along axis {axis}", s[0])));
        }
        out.shape[at] += other.shape[at];
        out.dtype = out.dtype.promote(other.dtype);
    }
    Ok(vec![out])
}

/// Splits a tensor into `n_items` equal parts along `axis`.
pub fn split(n_items: usize, axis: isize) -> LayerRef {
    let signature = move |s: &[TensorSpec]| {
        let mut part = s[0].clone();
        let at = part.axis(axis)?;
        if !part.shape[at].is_multiple_of(n_items) {
            return Err(Error::shape(format!("axis {axis} of {part} cannot be split into {n_items} equal parts")));
        }
        part.shape[at] /= n_items;
        Ok(memory::full(n_items, part)?)
    };
    pure_layer("Split", 1, n_items, signature, move |xs| Ok(xs[0].split(n_items, axis)?))
}
