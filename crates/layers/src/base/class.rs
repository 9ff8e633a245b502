//! Layers defined in the host language: `class Mine extends Layer`.
//!
//! One host function, the driver, does everything; its first argument says what, its second the mode, such as `"eval"`. Those that follow are
//! listed here. Inputs, outputs and gradients are lists, weights and state are trees, keys are uint32\[2\] tensors, signatures are records of
//! `shape` and `dtype`:
//! - `("init", signatures, key)` → `[weights, state]`
//! - `("forward", inputs, weights, state, key)` → `[outputs, newState]`
//! - `("backward", inputs, outputs, grads, weights, state, newState, key)` → `[inputGrads, weightGrads]`
//! - `("reverse", outputs, weights, state, newState, key)` → `[inputs, null]`
//! - `("reverseAndGrad", outputs, grads, weights, state, newState, key)` → `[inputs, [inputGrads, weightGrads]]`
use super::class_with_fields::ClassWithFields;
use crate::{
    custom_gradient,
    framework::{
        layer::print_layers,
        leaf::{OwnGradient, Reverse},
        mode::HostMode,
    },
    leaf_layer::leaf_printing,
    options, Abilities, Arity, BackwardCall, Base, Call, Count, Error, Fields, FnArg, Gradients, HostFnRef, HostRun,
    HostValue, LayerList, LayerRef, Leaf, Local, Mode, Output, Result, ReverseCall, StateForm, TensorSpec, Traits,
    Tree,
};
use std::sync::Arc;
use tallow_tensor::{no_grad, random::Key, DType, Tensor};

options! {
    /// Is the base of layers that are classes of their own.
    ///
    /// A class has `forward`, and may have `initWeightsAndState` and a `backward` of its own. The base by itself cannot be called: without
    /// `forward`
    /// a call is a `TypeError`.
    ///
    /// Shapes: what `forward` makes of its inputs.
    /// Weights: what `initWeightsAndState` sets as `this.weights`.
    /// State: what `initWeightsAndState` and `forward` set as `this.state`.
    /// Modes: what the class makes of `this.mode`.
    /// Errors:
    /// - `ArityMismatch`: `forward` returns another number of tensors than `nOut`.
    /// - those that the class throws.
    ///
    /// Source: Trax.
    /// See: `Fn`, `PureLayer`.
    /// Example:
    /// ```ts
    /// class Scale extends tl.Layer {
    ///   override initWeightsAndState() {
    ///     this.weights = tl.tensor([0.5]);
    ///   }
    ///   override forward(x: tl.Tensor) {
    ///     return x.mul(this.weights as tl.Tensor);
    ///   }
    /// }
    /// const layer = new Scale();
    /// layer.init({ shape: [2], dtype: 'float32' });
    /// layer([2, 4]); // → Tensor float32[2] [1,2]
    /// ```
    pub struct LayerOptions for "Layer" () {
        /// Number of inputs.
        n_in "nIn": Count = Count(1),
        /// Number of outputs.
        n_out "nOut": Count = Count(1),
        /// Printed name.
        name "name": String = "Layer".into(),
        /// Layers in the fields of the object, which are its sublayers.
        fields "fields": Option<LayerList> = None,
        /// Whether the class makes weights or state of its own.
        owns "owns": bool = true,
        /// Layers to print as its substructure.
        sublayers_to_print "sublayersToPrint": Option<LayerList> = None,
        /// Function that runs the methods of the class; given by the subclass.
        driver "driver": Option<FnArg> = None,
        /// How the layer behaves: what the methods of the class see as `this.mode`.
        mode "mode": Mode = Mode::Train,
        /// Whether the class brings its own `backward`.
        has_backward "hasBackward": bool = false,
        /// Whether the class brings its own `reverse`: inputs from outputs.
        reversible "reversible": bool = false,
        /// Whether the class brings its own `reverseAndGrad`.
        reverse_and_grad "reverseAndGrad": bool = false,
    }
}

/// A layer run by a driver.
///
/// # Errors
/// `InvalidOption` for a class with layers in its fields that brings its own gradients.
pub fn layer(o: LayerOptions) -> Result<LayerRef> {
    let fields: Vec<LayerRef> = o.fields.iter().flat_map(|list| &list.0).flat_map(print_layers).cloned().collect();
    let layer = HostLayer {
        name: o.name,
        arity: Arity::new(o.n_in.0, o.n_out.0),
        driver: o.driver.map(|f| f.0),
        mode: HostMode::new(o.mode),
        has_backward: o.has_backward,
        reversible: o.reversible,
        reverse_and_grad: o.reverse_and_grad,
    };
    let to_print = o.sublayers_to_print.map(|l| l.0);
    if fields.is_empty() {
        return Ok(leaf_printing(layer, to_print));
    }
    if layer.has_backward || layer.reversible {
        let (name, what) = (&layer.name, if layer.reversible { "reverse" } else { "backward" });
        return Err(Error::option(format!(
            "{name} has layers in its fields and a {what} of its own, which would have to know theirs; leave one of both out"
        )));
    }
    let base = Base { to_print, ..Base::new(&*layer.name) };
    Ok(Arc::new(ClassWithFields { base, class: layer, fields: Fields::new(fields), owns: o.owns }))
}

#[derive(Debug, Clone)]
pub(super) struct HostLayer {
    name: String,
    pub(super) arity: Arity,
    driver: Option<HostFnRef>,
    pub(super) mode: HostMode,
    has_backward: bool,
    reversible: bool,
    reverse_and_grad: bool,
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
        Err(Error::new("ArityMismatch", format!("{method} of {name} returned {n} tensors, but nIn is {n_in}")))
    }
    fn no_pair(&self, method: &str, got: &str) -> Error {
        Error::new("Internal", format!("the driver of {} must return a pair from {method}, got {got}", self.name))
    }
    fn run(&self, xs: &[Tensor], w: &Tree<Tensor>, s: &Tree<Tensor>, key: Key) -> Result<Output> {
        self.run_in(None, xs, w, s, key)
    }
    pub(super) fn run_in(
        &self,
        run: Option<&Arc<HostRun>>,
        xs: &[Tensor],
        w: &Tree<Tensor>,
        s: &Tree<Tensor>,
        key: Key,
    ) -> Result<Output> {
        let args = [list(xs), HostValue::tree(w), HostValue::tree(s), key_value(key)?];
        let [ys, s] = self.call_in(run, "forward", args)?;
        let ys = ys.into_tensors()?;
        if ys.len() != self.arity.n_out {
            let (n, name) = (ys.len(), &self.name);
            let what = format!("forward of {name} returned {n} tensors, but nOut is {}", self.arity.n_out);
            return Err(Error::new("ArityMismatch", what));
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
        let specs = HostValue::List(inputs.iter().map(spec).collect());
        let [weights, state] = self.call("init", [specs, key_value(key)?])?;
        Ok(Local { weights: weights.into_tree()?, state: state.into_tree()? })
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
            list(c.xs),
            list(b.ys),
            list(b.cotangents),
            HostValue::tree(c.w),
            HostValue::tree(c.s),
            HostValue::tree(b.new_state),
            key_value(c.key)?,
        ];
        let [dxs, dw] = self.call("backward", args)?;
        gradients("backward", dxs, dw, c.w)
    }
}

impl Reverse for HostLayer {
    fn reverse(&self, c: ReverseCall) -> Result<Vec<Tensor>> {
        let args =
            [list(c.ys), HostValue::tree(c.w), HostValue::tree(c.s), HostValue::tree(c.new_state), key_value(c.key)?];
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
            list(c.ys),
            list(&cts),
            HostValue::tree(c.w),
            HostValue::tree(c.s),
            HostValue::tree(c.new_state),
            key_value(c.key)?,
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

pub(crate) fn list(xs: &[Tensor]) -> HostValue {
    HostValue::List(xs.iter().cloned().map(HostValue::Tensor).collect())
}

pub(crate) fn key_value(key: Key) -> Result<HostValue> {
    Ok(HostValue::Tensor(Tensor::from_vec(key.0.to_vec(), &[2])?))
}

pub(crate) fn spec(s: &TensorSpec) -> HostValue {
    let dtype = |d: DType| HostValue::Text(d.name().into());
    HostValue::Record(vec![("shape".into(), HostValue::shape(&s.shape)), ("dtype".into(), dtype(s.dtype))])
}
