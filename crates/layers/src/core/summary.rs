//! Layers that keep what passes through them in state, for TensorBoard.
use crate::{
    leaf, options, Arity, Call, Count, Dim, Error, FnArg, HostValue, LayerRef, Leaf, Local, Output, ReplicaState,
    Result, StateForm, TensorSpec, Traits, Tree,
};
use tallow_tensor::{random::Key, Axes, Tensor};

options! {
    /// Keeps a few items of a batch in its state, to be shown as images, and passes its inputs on.
    ///
    /// Shapes: `[batch, ...]`, with at least two axes → the same.
    /// Weights: none.
    /// State: `{ summary_<name>: 0 }` after `init`. After a call `{ summary_<name>0: …, summary_<name>1: … }`: for each item, the images of
    /// all inputs joined along their first axis.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: an input has fewer than two axes, or the images of an item do not fit together.
    ///
    /// Source: Trax.
    /// See: `SummaryScalar`.
    /// Example:
    /// ```ts
    /// const layer = tl.SummaryImage('input', 1, { numSummaries: 1 });
    /// layer.init({ shape: [2, 3], dtype: 'float32' });
    /// layer([[1, 2, 3], [4, 5, 6]]);
    /// layer.state; // → { summary_input0: Tensor int32[3] [1,2,3] }
    /// ```
    pub struct SummaryImageOptions for "SummaryImage" ("name", "nIn") {
        /// Name to report under.
        name "name": String,
        /// Number of inputs.
        n_in "nIn": Dim,
        /// Number of items to keep; fewer where the batch is smaller.
        num_summaries "numSummaries": Count = Count(5),
        /// Makes an image of one item of one input; without it the item is the image.
        recover_fn "recoverFn": Option<FnArg> = None,
    }
}

options! {
    /// Keeps one number computed from its input in its state, to be plotted, and passes the input on.
    ///
    /// Shapes: `[...]` → `[...]`, the same.
    /// Weights: none.
    /// State: `{ summary_<name>: value }`; the value is 0 after `init`.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `SummaryImage`.
    /// Example:
    /// ```ts
    /// const layer = tl.SummaryScalar('mean');
    /// layer.init({ shape: [3], dtype: 'float32' });
    /// layer([1, 2, 6]);
    /// layer.state; // → { summary_mean: Tensor float32[] 3 }
    /// ```
    pub struct SummaryScalarOptions for "SummaryScalar" ("name") {
        /// Name to report under.
        name "name": String,
        /// Makes a number of the input; without it, the mean over all axes.
        aggregation_fun "aggregationFun": Option<FnArg> = None,
    }
}

pub(super) fn image(o: SummaryImageOptions) -> LayerRef {
    leaf(SummaryImage(o))
}

pub(super) fn scalar(o: SummaryScalarOptions) -> LayerRef {
    leaf(SummaryScalar(o))
}

fn initial_state(name: String) -> Local {
    Local::state(Tree::Dict(vec![(name, Tree::Leaf(Tensor::scalar(0f32)))]))
}

/// The tensor a host function makes of a tensor. State is a constant to autodiff, so the result is too.
fn apply(option: &str, f: &FnArg, x: Tensor) -> Result<Tensor> {
    let returned = f.0.call(&[HostValue::Tensor(x)])?;
    let what = returned.what();
    match &returned.into_tensors()?[..] {
        [t] => Ok(t.detach()),
        _ => Err(Error::option(format!("`{option}` must return a tensor, got {what}"))),
    }
}

#[derive(Debug, Clone)]
struct SummaryImage(SummaryImageOptions);

impl Leaf for SummaryImage {
    fn name(&self) -> String {
        format!("summary_{}", self.0.name)
    }
    fn arity(&self) -> Arity {
        Arity::new(self.0.n_in.0, self.0.n_in.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        if let Some(s) = inputs.iter().find(|s| s.rank() < 2) {
            return Err(Error::shape(format!("inputs need an axis of items and axes of the image, got {s}")));
        }
        Ok(inputs.to_vec())
    }
    fn init(&self, _inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        Ok(initial_state(self.name()))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let items = call.xs.iter().map(|x| x.shape()[0]).min().unwrap_or(0);
        let mut state = Vec::new();
        for item in 0..items.min(self.0.num_summaries.0) {
            let mut images = Vec::with_capacity(call.xs.len());
            for x in call.xs {
                let image = x.detach().index(0, item as isize)?;
                images.push(match &self.0.recover_fn {
                    Some(f) => apply("recoverFn", f, image)?,
                    None => image,
                });
            }
            state.push((format!("{}{item}", self.name()), Tree::Leaf(Tensor::concat(&images, 0)?)));
        }
        Ok(Output { ys: call.xs.to_vec(), state: Some(Tree::Dict(state)) })
    }
    fn traits(&self) -> Traits {
        Traits {
            calls_host: self.0.recover_fn.is_some(),
            replica_state: ReplicaState::First,
            state_form: StateForm::Open,
            ..Traits::LEAF
        }
    }
}

#[derive(Debug, Clone)]
struct SummaryScalar(SummaryScalarOptions);

impl Leaf for SummaryScalar {
    fn name(&self) -> String {
        format!("summary_{}", self.0.name)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        if let Some(f) = &self.0.aggregation_fun {
            tallow_tensor::no_grad(|| apply("aggregationFun", f, inputs[0].zeros()?))?;
        }
        Ok(inputs.to_vec())
    }
    fn init(&self, _inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        Ok(initial_state(self.name()))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = call.xs[0].detach();
        let value = match &self.0.aggregation_fun {
            Some(f) => apply("aggregationFun", f, x)?,
            None => x.mean(Axes::All, false)?,
        };
        Ok(Output { ys: call.xs.to_vec(), state: Some(Tree::Dict(vec![(self.name(), Tree::Leaf(value))])) })
    }
    fn traits(&self) -> Traits {
        Traits {
            calls_host: self.0.aggregation_fun.is_some(),
            replica_state: ReplicaState::Mean,
            state_form: StateForm::Open,
            ..Traits::LEAF
        }
    }
}
