//! Leading axes in another shape.
use crate::{
    core::python_tuple, framework::leaf::Reverse, leaf, options, Abilities, Arity, Call, Dim, Error, LayerRef, Leaf,
    Output, Result, ReverseCall, TensorSpec, Wholes,
};
use tallow_tensor::Tensor;

options! {
    /// Gives the leading axes of each input another shape.
    ///
    /// Shapes: `[...shape1, ...]` → `[...shape2, ...]`, for each input.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: an input does not begin with `shape1`, or `shape2` has another number of elements.
    ///
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.ReversibleReshape([4], [2, 2])([1, 2, 3, 4]); // → Tensor int32[2,2] [[1,2],[3,4]]
    /// ```
    pub struct ReversibleReshapeOptions for "ReversibleReshape" ("shape1", "shape2") {
        /// Shape of the leading axes as they come; one may be -1, for whatever it is.
        shape1 "shape1": Wholes,
        /// Shape they are given; one may be -1, for what remains.
        shape2 "shape2": Wholes,
        /// Number of inputs.
        n_in "nIn": Dim = Dim(1),
    }
}

#[derive(Debug, Clone)]
struct Reshape(ReversibleReshapeOptions);

pub(super) fn build(o: ReversibleReshapeOptions) -> Result<LayerRef> {
    Ok(leaf(Reshape(o)))
}

/// `x` with the axes of `from` in the shape `to`; `None` if it does not begin with `from`, or `to` has another size.
fn reshaped(x: &[usize], from: &[isize], to: &[isize]) -> Option<Vec<usize>> {
    let begins = x.len() >= from.len() && x.iter().zip(from).all(|(&n, &d)| d == -1 || d == n as isize);
    let (lead, rest) = x.split_at(from.len().min(x.len()));
    let size: usize = lead.iter().product();
    let known: usize = to.iter().filter(|&&d| d != -1).map(|&d| usize::try_from(d).ok()).product::<Option<usize>>()?;
    let open = to.iter().filter(|&&d| d == -1).count();
    let free = size.checked_div(known).unwrap_or(0);
    let fits = begins && open <= 1 && known * if open == 1 { free } else { 1 } == size;
    fits.then(|| to.iter().map(|&d| if d == -1 { free } else { d as usize }).chain(rest.iter().copied()).collect())
}

impl Reshape {
    fn shape(&self, x: &TensorSpec) -> Result<Vec<usize>> {
        let (from, to) = (&self.0.shape1.0, &self.0.shape2.0);
        reshaped(&x.shape, from, to)
            .ok_or_else(|| Error::shape(format!("{x} cannot have its leading axes {from:?} in the shape {to:?}")))
    }
}

impl Leaf for Reshape {
    fn name(&self) -> String {
        format!("ReversibleReshape_{}_{}", python_tuple(&self.0.shape1.0), python_tuple(&self.0.shape2.0))
    }
    fn arity(&self) -> Arity {
        Arity::new(self.0.n_in.0, self.0.n_in.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        inputs.iter().map(|x| Ok(x.with_shape(self.shape(x)?))).collect()
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let ys = call.xs.iter().map(|x| Ok(x.reshape(&self.shape(&TensorSpec::of(x))?)?));
        Ok(ys.collect::<Result<Vec<_>>>()?.into())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { reversal: Some(self), ..Abilities::default() }
    }
}

impl Reverse for Reshape {
    fn reverse(&self, call: ReverseCall) -> Result<Vec<Tensor>> {
        let back = Reshape(ReversibleReshapeOptions {
            shape1: self.0.shape2.clone(),
            shape2: self.0.shape1.clone(),
            n_in: self.0.n_in,
        });
        call.ys.iter().map(|y| Ok(y.reshape(&back.shape(&TensorSpec::of(y))?)?)).collect()
    }
}
