//! Arithmetic on stack items, and joining and splitting tensors.
use crate::{
    framework::pure::{elementwise2, elementwise_of, pure_layer},
    options, Axis, Dim, Error, LayerRef, Result, TensorSpec,
};
use tallow_tensor::{memory, Tensor};

options! {
    /// Adds two tensors.
    ///
    /// Formula: `y = a + b`.
    /// Shapes: `[...]`, `[...]` → `[...]`. The two broadcast.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not broadcast.
    ///
    /// Source: Trax.
    /// See: `Residual`.
    /// Example:
    /// ```ts
    /// tl.Add()([[1, 2], [10, 20]]); // → Tensor int32[2] [11,22]
    /// ```
    pub struct AddOptions for "Add" () {}
}

options! {
    /// Subtracts the first tensor from the second.
    ///
    /// Formula: `y = b - a`.
    /// Shapes: `[...]`, `[...]` → `[...]`. The two broadcast.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not broadcast.
    ///
    /// Source: Trax.
    /// See: `Add`.
    /// Example:
    /// ```ts
    /// tl.SubtractTop()([[1, 2], [10, 20]]); // → Tensor int32[2] [9,18]
    /// ```
    pub struct SubtractTopOptions for "SubtractTop" () {}
}

options! {
    /// Multiplies two tensors, element by element.
    ///
    /// Formula: `y = a · b`.
    /// Shapes: `[...]`, `[...]` → `[...]`. The two broadcast.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not broadcast.
    ///
    /// Source: Trax.
    /// See: `Add`, `Gate`.
    /// Example:
    /// ```ts
    /// tl.Multiply()([[1, 2], [10, 20]]); // → Tensor int32[2] [10,40]
    /// ```
    pub struct MultiplyOptions for "Multiply" () {}
}

options! {
    /// Mixes a memory and a candidate as a gate says, as highway networks do.
    ///
    /// Formula: `y = gate · memory + (1 - gate) · candidate`.
    /// Shapes: memory `[...]`, gate `[...]`, candidate `[...]` → `[...]`. The three broadcast.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not broadcast.
    ///
    /// Source: Trax; Srivastava et al. 2015, arXiv:1505.00387.
    /// See: `ConvGRUCell`.
    /// Example:
    /// ```ts
    /// tl.Gate()([[1, 1], [0.25, 1], [2, 2]]); // → Tensor float32[2] [1.75,1]
    /// ```
    pub struct GateOptions for "Gate" () {}
}

options! {
    /// Joins tensors along an axis.
    ///
    /// Shapes: for the last axis, `[..., m]`, `[..., n]` → `[..., m + n]`. The other sizes must be equal.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the tensors differ along another axis, or do not have the axis.
    ///
    /// Source: Trax.
    /// See: `Split`.
    /// Example:
    /// ```ts
    /// tl.Concatenate()([[1, 2], [3]]); // → Tensor int32[3] [1,2,3]
    /// ```
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
    /// Shapes: for two parts of the last axis, `[..., 2n]` → `[..., n]`, `[..., n]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidArgument`: `nItems` does not divide the size of the axis, or the input does not have the axis.
    /// - `ShapeMismatch`: `init` of a model around the layer finds that `nItems` does not divide the size.
    ///
    /// Source: Trax.
    /// See: `Concatenate`.
    /// Example:
    /// ```ts
    /// tl.Split()([1, 2, 3, 4]); // → [Tensor int32[2] [1,2], Tensor int32[2] [3,4]]
    /// ```
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
