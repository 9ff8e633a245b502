//! The layer of a class of the host language.
//!
//! One host function, the driver, does everything; its first argument says what, its second the mode, such as `"eval"`. Those that follow are
//! listed here. Inputs, outputs and gradients are lists, weights and state are trees, keys are uint32\[2\] tensors, signatures are records of
//! `shape` and `dtype`:
//! - `("init", signatures, key)` → `[weights, state]`
//! - `("forward", inputs, weights, state, key)` → `[outputs, newState]`
//! - `("backward", inputs, outputs, grads, weights, state, newState, key)` → `[inputGrads, weightGrads]`
//! - `("reverse", outputs, weights, state, newState, key)` → `[inputs, null]`
//! - `("reverseAndGrad", outputs, grads, weights, state, newState, key)` → `[inputs, [inputGrads, weightGrads]]`
use crate::{
    custom_gradient,
    framework::{
        leaf::{OwnGradient, Reverse},
        mode::HostMode,
    },
    Abilities, Arity, BackwardCall, Call, Error, ErrorKind, Gradients, HostFnRef, HostRun, HostValue, Leaf, Local,
    Mode, Output, Result, ReverseCall, StateForm, TensorSpec, Traits, Tree,
};
use std::sync::Arc;
use tallow_tensor::{no_grad, random::Key, Tensor};

/// A layer run by a driver.
#[derive(Debug, Clone)]
pub(super) struct HostLayer {
    pub(super) name: String,
    pub(super) arity: Arity,
    pub(super) driver: Option<HostFnRef>,
    pub(super) mode: HostMode,
    pub(super) has_backward: bool,
    pub(super) reversible: bool,
    pub(super) reverse_and_grad: bool,
}

impl HostLayer {
    /// The same class in another mode.
    pub(super) fn in_mode(&self, mode: Mode) -> Self {
        let mut copy = self.clone();
        *copy.mode.place() = mode;
        copy
    }
    /// Calls a method that returns a pair.
    fn call(&self, method: &str, args: impl IntoIterator<Item = HostValue>) -> Result<[HostValue; 2]> {
        self.call_in(None, method, args)
    }
    /// The same, in which layers of the host run in `run`.
    pub(super) fn call_in(
        &self,
        run: Option<&Arc<HostRun>>,
        method: &str,
        args: impl IntoIterator<Item = HostValue>,
    ) -> Result<[HostValue; 2]> {
        let Some(driver) = &self.driver else {
            return Err(Error::option(format!("the class {} defines no {method}", self.name)));
        };
        let mut all = vec![HostValue::Text(method.into()), self.mode.get().into()];
        all.extend(args);
        self.pair(method, run.map_or_else(|| driver.call(&all), |run| driver.call_in(run, &all))?)
    }
    fn pair(&self, method: &str, value: HostValue) -> Result<[HostValue; 2]> {
        match value {
            HostValue::List(v) => {
                v.try_into().map_err(|v: Vec<_>| self.no_pair(method, &format!("{} values", v.len())))
            }
            other => Err(self.no_pair(method, other.what())),
        }
    }
    /// The inputs that a method gave.
    fn reversed(&self, method: &str, xs: HostValue) -> Result<Vec<Tensor>> {
        let xs = xs.into_tensors()?;
        if xs.len() == self.arity.n_in {
            return Ok(xs);
        }
        let (n, name, n_in) = (xs.len(), &self.name, self.arity.n_in);
        Err(Error::new(ErrorKind::ArityMismatch, format!("{method} of {name} returned {n} tensors, but nIn is {n_in}")))
    }
    fn no_pair(&self, method: &str, got: &str) -> Error {
        Error::new(
            ErrorKind::Internal,
            format!("the driver of {} must return a pair from {method}, got {got}", self.name),
        )
    }
    fn run(&self, xs: &[Tensor], w: &Tree<Tensor>, s: &Tree<Tensor>, key: Key) -> Result<Output> {
        self.run_in(None, xs, w, s, key)
    }
    /// Weights and state of its own.
    pub(super) fn init_in(&self, run: Option<&Arc<HostRun>>, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let specs = HostValue::List(inputs.iter().map(HostValue::signature).collect());
        let [weights, state] = self.call_in(run, "init", [specs, HostValue::key(key)?])?;
        Ok(Local { weights: weights.into_tree()?, state: state.into_tree()? })
    }
    /// Outputs and new state.
    pub(super) fn run_in(
        &self,
        run: Option<&Arc<HostRun>>,
        xs: &[Tensor],
        w: &Tree<Tensor>,
        s: &Tree<Tensor>,
        key: Key,
    ) -> Result<Output> {
        let args = [HostValue::tensors(xs), HostValue::tree(w), HostValue::tree(s), HostValue::key(key)?];
        let [ys, s] = self.call_in(run, "forward", args)?;
        let ys = ys.into_tensors()?;
        if ys.len() != self.arity.n_out {
            let (n, name) = (ys.len(), &self.name);
            let what = format!("forward of {name} returned {n} tensors, but nOut is {}", self.arity.n_out);
            return Err(Error::new(ErrorKind::ArityMismatch, what));
        }
        Ok(Output { ys, state: Some(s.into_tree()?) })
    }
}

impl Leaf for HostLayer {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn arity(&self) -> Arity {
        self.arity
    }
    /// A host class declares no shapes: they come from a run on zeros.
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        no_grad(|| {
            let key = Key::new(0);
            let Local { weights, state } = self.init(inputs, key)?;
            let zeros = inputs.iter().map(TensorSpec::zeros).collect::<tallow_tensor::Result<Vec<_>>>()?;
            Ok(self.run(&zeros, &weights, &state, key)?.ys.iter().map(TensorSpec::of).collect())
        })
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        if self.driver.is_none() {
            return Ok(Local::EMPTY);
        }
        self.init_in(None, inputs, key)
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.run(call.xs, call.w, call.s, call.key)
    }
    fn traits(&self) -> Traits {
        Traits { calls_host: true, state_form: StateForm::Open, is_driven: self.driver.is_some(), ..Traits::LEAF }
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(self.mode.place())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            gradient: self.has_backward.then_some(self as &dyn OwnGradient),
            reversal: self.reversible.then_some(self as &dyn Reverse),
            host_mode: Some(&self.mode),
            ..Abilities::default()
        }
    }
}

impl OwnGradient for HostLayer {
    fn backward(&self, b: BackwardCall) -> Result<(Vec<Option<Tensor>>, Tree<Tensor>)> {
        let c = &b.call;
        let args = [
            HostValue::tensors(c.xs),
            HostValue::tensors(b.ys),
            HostValue::tensors(b.cotangents),
            HostValue::tree(c.w),
            HostValue::tree(c.s),
            HostValue::tree(b.new_state),
            HostValue::key(c.key)?,
        ];
        let [dxs, dw] = self.call("backward", args)?;
        gradients("backward", dxs, dw, c.w)
    }
}

impl Reverse for HostLayer {
    fn reverse(&self, c: ReverseCall) -> Result<Vec<Tensor>> {
        let args = [
            HostValue::tensors(c.ys),
            HostValue::tree(c.w),
            HostValue::tree(c.s),
            HostValue::tree(c.new_state),
            HostValue::key(c.key)?,
        ];
        let [xs, _] = self.call("reverse", args)?;
        self.reversed("reverse", xs)
    }
    fn reverse_and_grad(&self, c: ReverseCall, cts: &[Option<Tensor>]) -> Result<Option<Gradients>> {
        if !self.reverse_and_grad {
            return Ok(None);
        }
        let or_zeros = |(ct, y): (&Option<Tensor>, &Tensor)| ct.clone().map_or_else(|| y.zeros_like(), Ok);
        let cts = cts.iter().zip(c.ys).map(or_zeros).collect::<tallow_tensor::Result<Vec<_>>>()?;
        let args = [
            HostValue::tensors(c.ys),
            HostValue::tensors(&cts),
            HostValue::tree(c.w),
            HostValue::tree(c.s),
            HostValue::tree(c.new_state),
            HostValue::key(c.key)?,
        ];
        let [xs, grads] = self.call("reverseAndGrad", args)?;
        let [dxs, dw] = self.pair("reverseAndGrad", grads)?;
        let (of_xs, of_w) = gradients("reverseAndGrad", dxs, dw, c.w)?;
        Ok(Some(Gradients { xs: self.reversed("reverseAndGrad", xs)?, of_xs, of_w }))
    }
}

/// Gradients of inputs and weights as a method gave them; of weights that it says nothing about they are zeros.
fn gradients(
    method: &str,
    dxs: HostValue,
    dw: HostValue,
    w: &Tree<Tensor>,
) -> Result<(Vec<Option<Tensor>>, Tree<Tensor>)> {
    let dxs = match dxs {
        HostValue::List(v) => v,
        HostValue::Null => Vec::new(),
        one => vec![one],
    };
    let dxs = dxs
        .into_iter()
        .map(|g| match g {
            HostValue::Null => Ok(None),
            HostValue::Tensor(t) => Ok(Some(t)),
            other => Err(Error::dtype(format!("{method} returned {} as a gradient", other.what()))),
        })
        .collect::<Result<_>>()?;
    let dw = match dw {
        HostValue::Null => custom_gradient::zeros_like(w)?,
        dw => dw.into_tree()?,
    };
    Ok((dxs, dw))
}
