//! Attention written for one head of one example by a class of the host, run over all of them.
//!
//! One host function, the driver, does everything; its first argument says what, its second the mode. Those that follow are listed here.
//! Signatures and inputs are those of one example, weights those of one head, state that of one head of one example:
//! - `("createWeightsUnbatched", signatures, key)` → weights
//! - `("createStateUnbatched", signatures, key)` → state
//! - `("forwardUnbatched", inputs, {weights, state, rng, updateState})` → `[output, newState]`
//! - `("incrementalForwardUnbatched", inputs, {weights, state, rng, updateState, qStart, qLen})` → `[output, newState]`
use super::{
    heads::check_parallel,
    memory::{of_options, refitted, Window},
};
use crate::{
    framework::{leaf::OwnGradient, mode::HostMode},
    leaf, options, Abilities, Arity, BackwardCall, Call, Dim, Error, ErrorKind, Filled, FnArg, HostFnRef, HostValue,
    LayerRef, Leaf, Local, Mode, Output, Result, StateForm, TensorSpec, Traits, Tree,
};
use tallow_tensor::{backward, memory, random::Key, recording, Tensor};

options! {
    /// The base of attention classes that are written for one head of one example; by itself it cannot be called.
    ///
    /// A subclass defines `createWeightsUnbatched`, `createStateUnbatched` (if there is state), `forwardUnbatched` and, for
    /// `incremental`, `incrementalForwardUnbatched`. The layer runs them for each head of each example, and sums the heads.
    ///
    /// In the backward pass each head of each example is computed again, by itself, so that memory holds inputs, weights and the new
    /// state only. With `useReferenceCode` nothing is computed again, and everything is kept.
    ///
    /// Shapes: `[batch, length, ...]` for each input → what `forwardUnbatched` returns, with the batch in front.
    /// Weights: what `createWeightsUnbatched` makes, stacked over heads.
    /// State: what `createStateUnbatched` makes, stacked over heads of examples; if `incremental`, `[end, inputs, state]`, with the
    /// last `predictMemLen` positions of the inputs.
    /// Modes: those that the class tells apart.
    /// Errors:
    /// - `InvalidOption`: the class lacks a method that its options need.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// Example:
    /// ```ts
    /// class Mean extends tl.EfficientAttentionBase {
    ///   override createWeightsUnbatched() {
    ///     return [];
    ///   }
    ///   override forwardUnbatched(x: tl.Tensor, { state }: tl.AttentionContext): [tl.Tensor, tl.Nest] {
    ///     return [x.mean({ axis: 0, keepdims: true }).add(x), state];
    ///   }
    /// }
    /// const layer = new Mean(2);
    /// layer.init({ shape: [1, 2, 1], dtype: 'float32' });
    /// layer([[[1], [2]]]); // → Tensor float32[1,2,1] [[[5],[7]]]
    /// ```
    pub struct EfficientAttentionBaseOptions for "EfficientAttentionBase" ("nHeads") {
        /// Number of heads.
        n_heads "nHeads": Dim,
        /// Number of inputs.
        n_in "nIn": Dim = Dim(1),
        /// How many heads Trax computes at a time; here it is always one.
        n_parallel_heads "nParallelHeads": Option<Dim> = None,
        /// Whether the layer continues a sequence from call to call.
        incremental "incremental": bool = false,
        /// Positions remembered if `incremental`.
        predict_mem_len "predictMemLen": Option<Dim> = None,
        /// Positions forgotten when the memory is full.
        predict_drop_len "predictDropLen": Option<Dim> = None,
        /// How the layer behaves: what the methods of the class see as `this.mode`.
        mode "mode": Mode = Mode::Train,
        /// Changes nothing: there is no compilation that a loop could shorten.
        use_python_loop "usePythonLoop": bool = false,
        /// Whether to differentiate what forward recorded in place of computing it again.
        use_reference_code "useReferenceCode": bool = false,
        /// Printed name.
        name "name": String = "EfficientAttentionBase".into(),
        /// Function that runs the methods of the class; given by the subclass.
        driver "driver": Option<FnArg> = None,
    }
}

#[derive(Debug, Clone)]
struct Batched {
    name: String,
    n_heads: usize,
    n_in: usize,
    window: Option<Window>,
    reference: bool,
    driver: Option<HostFnRef>,
    mode: HostMode,
}

/// See [`EfficientAttentionBaseOptions`].
///
/// # Errors
/// `InvalidOption` for sizes that do not fit together.
pub(super) fn efficient_attention_base(o: EfficientAttentionBaseOptions) -> Result<LayerRef> {
    check_parallel("EfficientAttentionBase", o.n_heads.0, o.n_parallel_heads)?;
    let mode = if o.incremental { Mode::Predict } else { Mode::Train };
    let sizes = (o.predict_mem_len, o.predict_drop_len);
    Ok(leaf(Batched {
        name: o.name,
        n_heads: o.n_heads.0,
        n_in: o.n_in.0,
        window: of_options("EfficientAttentionBase", mode, true, (None, 0), sizes)?,
        reference: o.use_reference_code,
        driver: o.driver.map(|f| f.0),
        mode: HostMode::new(o.mode),
    }))
}

/// The inputs of all examples, and which of their positions are new.
struct Inputs<'a> {
    xs: &'a [Tensor],
    /// Where the new positions start, and how many there are, if the layer is incremental.
    new: Option<(usize, usize)>,
}

/// The part of a tree that belongs to place `i` of the first axis.
fn part(tree: &Tree<Tensor>, i: usize) -> Result<Tree<Tensor>> {
    Ok(tree.try_map(&mut |t| t.index(0, i as isize))?)
}

/// Trees of one structure, stacked leaf by leaf.
fn stacked(trees: &[Tree<Tensor>]) -> Result<Tree<Tensor>> {
    let Some(first) = trees.first() else { return Ok(Tree::EMPTY) };
    let columns: Vec<Vec<Tensor>> = trees.iter().map(|t| t.leaves_in_place().into_iter().cloned().collect()).collect();
    if columns.iter().any(|c| c.len() != columns[0].len()) {
        return Err(Error::new(ErrorKind::WeightsMismatch, "heads have different structures of weights or state"));
    }
    let mut at = 0;
    first.try_map(&mut |_| {
        at += 1;
        let leaves: Vec<Tensor> = columns.iter().map(|c| c[at - 1].clone()).collect();
        Ok(Tensor::stack(&leaves, 0)?)
    })
}

impl Batched {
    fn drive(&self, method: &str, args: impl IntoIterator<Item = HostValue>) -> Result<HostValue> {
        let Some(driver) = &self.driver else {
            return Err(Error::option(format!("the class {} defines no {method}", self.name)));
        };
        let mut all = vec![HostValue::Text(method.into()), self.mode.get().into()];
        all.extend(args);
        driver.call(&all)
    }
    fn batch(&self, xs: &[TensorSpec]) -> Result<usize> {
        let batch = xs.first().and_then(|x| x.shape.first()).copied();
        let batch = batch.ok_or_else(|| Error::shape("inputs need a batch axis and a length"))?;
        if let Some(x) = xs.iter().find(|x| x.rank() < 2 || x.shape[0] != batch) {
            return Err(Error::shape(format!("inputs are (batch, length, ...) with one batch, got {x} among {batch}")));
        }
        Ok(batch)
    }
    /// One head of one example.
    fn one(
        &self,
        inputs: &Inputs<'_>,
        [w, s]: [&Tree<Tensor>; 2],
        key: Key,
        update: bool,
    ) -> Result<(Tensor, Tree<Tensor>)> {
        let mut context = vec![
            ("weights".to_string(), HostValue::tree(w)),
            ("state".to_string(), HostValue::tree(s)),
            ("rng".to_string(), HostValue::key(key)?),
            ("updateState".to_string(), HostValue::Bool(update)),
        ];
        let mut method = "forwardUnbatched";
        if let Some((start, new)) = inputs.new {
            method = "incrementalForwardUnbatched";
            context.push(("qStart".into(), HostValue::Number(start as f64)));
            context.push(("qLen".into(), HostValue::Number(new as f64)));
        }
        let wrong = |got: &str| {
            let what = format!("{method} of {} must return [output, newState], got {got}", self.name);
            Error::new(ErrorKind::ArityMismatch, what)
        };
        match self.drive(method, [HostValue::tensors(inputs.xs), HostValue::Record(context)])? {
            HostValue::List(v) => match <[HostValue; 2]>::try_from(v) {
                Ok([HostValue::Tensor(y), s]) => Ok((y, s.into_tree()?)),
                Ok([other, _]) => Err(wrong(&format!("{} as the output", other.what()))),
                Err(v) => Err(wrong(&format!("{} values", v.len()))),
            },
            other => Err(wrong(other.what())),
        }
    }
    /// All heads of all examples: outputs with the batch in front, and new states in the order of heads of examples.
    fn all(&self, inputs: &Inputs<'_>, [w, s]: [&Tree<Tensor>; 2], key: Key) -> Result<(Tensor, Tree<Tensor>)> {
        let batch = inputs.xs[0].shape()[0];
        let (mut ys, mut states) = (memory::room(batch)?, memory::room(batch * self.n_heads)?);
        for example in 0..batch {
            let xs = self.example(inputs.xs, example)?;
            let mut sum: Option<Tensor> = None;
            for head in 0..self.n_heads {
                let own = [&part(w, head)?, &part(s, example * self.n_heads + head)?];
                let (y, state) = self.one(&Inputs { xs: &xs, new: inputs.new }, own, key, true)?;
                sum = Some(match sum {
                    None => y,
                    Some(sum) => sum.add(&y)?,
                });
                states.push(state);
            }
            ys.extend(sum);
        }
        if ys.is_empty() {
            return Err(Error::shape("a class for one example has nothing to tell of none; the batch is empty"));
        }
        let state = if states.iter().all(|s| s.leaves().is_empty()) { s.clone() } else { stacked(&states)? };
        Ok((Tensor::stack(&ys, 0)?, state))
    }
    fn example(&self, xs: &[Tensor], i: usize) -> Result<Vec<Tensor>> {
        Ok(xs.iter().map(|x| x.index(0, i as isize)).collect::<tallow_tensor::Result<_>>()?)
    }
}

impl Leaf for Batched {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn arity(&self) -> Arity {
        Arity::new(self.n_in, 1)
    }
    /// A host class declares no shapes: they come from a run on zeros.
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        tallow_tensor::no_grad(|| {
            let key = Key::new(0);
            let Local { weights, state } = self.init(inputs, key)?;
            let xs = inputs.iter().map(TensorSpec::zeros).collect::<tallow_tensor::Result<Vec<_>>>()?;
            let out = self.forward(Call { xs: &xs, w: &weights, s: &state, key })?;
            Ok(out.ys.iter().map(TensorSpec::of).collect())
        })
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let batch = self.batch(inputs)?;
        let unbatched =
            || HostValue::List(inputs.iter().map(|x| HostValue::signature(&x.with_shape(&x.shape[1..]))).collect());
        let make = |method: &str, key: Key| self.drive(method, [unbatched(), HostValue::key(key)?])?.into_tree();
        let weights = key.try_split(self.n_heads)?.into_iter().map(|key| make("createWeightsUnbatched", key));
        let states =
            key.try_split(self.n_heads.saturating_mul(batch))?.into_iter().map(|key| make("createStateUnbatched", key));
        let weights = stacked(&weights.collect::<Result<Vec<_>>>()?)?;
        let state = stacked(&states.collect::<Result<Vec<_>>>()?)?;
        Ok(Local {
            weights,
            state: match &self.window {
                None => state,
                Some(window) => window.init(inputs, state)?,
            },
        })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.batch(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let refitted = refitted(&call, self.window.as_ref(), |specs| self.init(specs, call.key))?;
        let call = Call { s: refitted.as_ref().unwrap_or(call.s), ..call };
        let Some(window) = &self.window else {
            let (y, state) = self.all(&Inputs { xs: call.xs, new: None }, [call.w, call.s], call.key)?;
            return Ok(Output { ys: vec![y], state: Some(state) });
        };
        let (seen, own) = window.take(call.xs, call.s)?;
        // The methods of a class see the window as Trax has it.
        let inputs = Inputs { xs: &window.in_full(&seen)?, new: Some((seen.start, seen.new)) };
        let (y, own) = self.all(&inputs, [call.w, own], call.key)?;
        Ok(Output { ys: vec![y], state: Some(window.state(&seen, own)?) })
    }
    fn traits(&self) -> Traits {
        Traits {
            goes_on: self.window.is_some(),
            calls_host: true,
            state_form: StateForm::Open,
            is_driven: self.driver.is_some(),
            ..Traits::LEAF
        }
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(self.mode.place())
    }
    fn abilities(&self) -> Abilities<'_> {
        let gradient = (!self.reference).then_some(self as &dyn OwnGradient);
        Abilities { gradient, host_mode: Some(&self.mode), ..Abilities::default() }
    }
}

impl OwnGradient for Batched {
    fn backward(&self, b: BackwardCall) -> Result<(Vec<Option<Tensor>>, Tree<Tensor>)> {
        let Call { xs, w, key, .. } = b.call;
        let batch = xs[0].shape()[0];
        // Where a sequence is continued, what was remembered after the call is what it has seen.
        let new = xs[0].shape()[1];
        let (seen, own, places) = match &self.window {
            None => (xs.to_vec(), b.new_state, None),
            Some(window) => {
                let (end, seen, own) = window.read(b.new_state, xs.len())?;
                if end < new {
                    let why = format!("{} has no gradient for more positions than it remembers", self.name);
                    return Err(Error::new(ErrorKind::Autodiff, why));
                }
                (seen.iter().map(Filled::shown).collect::<Result<Vec<_>>>()?, own, Some((end - new, new)))
            }
        };
        let variable = |t: &Tensor| if t.dtype().is_float() { t.variable() } else { t.clone() };
        let mut of_inputs: Vec<Vec<Tensor>> = vec![Vec::with_capacity(batch); xs.len()];
        let mut of_weights: Vec<Option<Vec<Tensor>>> = memory::full(self.n_heads, None)?;
        for example in 0..batch {
            let mine: Vec<Tensor> = self.example(&seen, example)?.iter().map(variable).collect();
            let ct = b.cotangents[0].index(0, example as isize)?;
            let mut sums: Option<Vec<Tensor>> = None;
            for (head, of_weights) in of_weights.iter_mut().enumerate() {
                let w = part(w, head)?.map(&mut |t| variable(t));
                let s = part(own, example * self.n_heads + head)?;
                let inputs = Inputs { xs: &mine, new: places };
                let (y, _) = recording(|| self.one(&inputs, [&w, &s], key, false))?;
                let weights = w.leaves_in_place();
                let wrt: Vec<Tensor> = mine.iter().chain(weights).filter(|t| t.is_tracked()).cloned().collect();
                let found = if y.is_tracked() {
                    backward(&[(y, ct.clone())], &wrt, false)?
                } else {
                    wrt.iter().map(Tensor::zeros_like).collect::<tallow_tensor::Result<_>>()?
                };
                let (inputs, weights) = found.split_at(mine.iter().filter(|t| t.is_tracked()).count());
                add_to(&mut sums, inputs)?;
                add_to(of_weights, weights)?;
            }
            let mut sums = sums.unwrap_or_default().into_iter();
            for (x, all) in mine.iter().zip(&mut of_inputs) {
                if x.is_tracked() {
                    all.extend(sums.next());
                }
            }
        }
        let dxs = of_inputs
            .iter()
            .map(|all| {
                if all.is_empty() {
                    return Ok(None);
                }
                let whole = Tensor::stack(all, 0)?;
                Ok(Some(match places {
                    None => whole,
                    Some((start, new)) => whole.narrow(1, start, new)?,
                }))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut columns = 0;
        let dw = w.try_map(&mut |t| {
            if !t.dtype().is_float() {
                return Ok::<_, Error>(t.zeros_like()?);
            }
            columns += 1;
            let heads: Vec<Tensor> = of_weights.iter().flatten().map(|found| found[columns - 1].clone()).collect();
            Ok(if heads.is_empty() { t.zeros_like()? } else { Tensor::stack(&heads, 0)? })
        })?;
        Ok((dxs, dw))
    }
}

/// Adds element by element to what there is.
fn add_to(sums: &mut Option<Vec<Tensor>>, more: &[Tensor]) -> Result<()> {
    match sums {
        None => *sums = Some(more.to_vec()),
        Some(all) => {
            for (sum, more) in all.iter_mut().zip(more) {
                *sum = sum.add(more)?;
            }
        }
    }
    Ok(())
}
