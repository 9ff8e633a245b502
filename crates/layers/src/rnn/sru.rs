//! Simple recurrent units.
use super::{
    cell::{check_weights, runs_at_once, scan_of},
    zero_state::{make_zero_state, state_dtype},
};
use crate::{
    activation_fns::sigmoid,
    combinators::{branch, flat, parallel, select, serial, split},
    composite,
    core::dense,
    framework::{
        leaf::WholeSequence,
        pure::{elementwise_signature, pure_layer, result_dtype},
        shapes::last_axis,
    },
    initializers::glorot_uniform,
    leaf, options, stack_signature, Abilities, Arity, Base, Call, Composite, Cx, Dim, Error, InitCx, LayerArg,
    LayerNest, LayerRef, Leaf, Local, Mode, Output, Parts, Result, Sequence, TensorSpec, Traits, Tree,
};
use tallow_tensor::{ops, random::Key, DType, Tensor};

options! {
    /// Makes the part of a step of a simple recurrent unit that depends on the step before.
    ///
    /// Formula: `c′ = f c + x`, with the new value `x`, which is weighed already, the forget gate `f` and the state `c`.
    /// Shapes: `x`, `f` and `c`, which broadcast → `c′` twice, as output and as state.
    /// Weights: none.
    /// State: none of its own. `Scan` runs a whole sequence of it at once.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// Source: Trax; Lei et al. 2018, arXiv:1709.02755.
    /// See: `SRU`.
    /// Example:
    /// ```ts
    /// const cell = tl.InnerSRUCell();
    /// const [x, f, c] = [tl.tensor([1.5]), tl.tensor([0.5]), tl.tensor([2.5])];
    /// cell.init(tl.signature([x, f, c]));
    /// cell([x, f, c]).map((y) => y.array()); // → [ [ 2.75 ], [ 2.75 ] ]
    /// ```
    pub struct InnerSruOptions for "InnerSRUCell" () {}
}

options! {
    /// Runs `InnerSRUCell` over a sequence.
    ///
    /// With a mask, whose zeros leave the state as it is, the positions from the second on are masked; where there is one position
    /// alone, it is masked too.
    ///
    /// Shapes: `x` and `f` `[batch, length, nUnits]`, state `[batch, nUnits]` → all states `[batch, length, nUnits]`, the last one
    /// `[batch, nUnits]`. The mask is `[batch, n]`.
    /// Weights: none.
    /// State: none; in mode `'predict'` the state after the last call, where the next one goes on.
    /// Modes: goes on where it stopped in `'predict'`.
    /// Errors:
    /// - `InvalidOption`: there is a mask in another mode than `'predict'`.
    /// - `ShapeMismatch`: the inputs differ in length, or the mask is longer than they are.
    /// Source: Trax; Lei et al. 2018, arXiv:1709.02755.
    /// See: `SRU`.
    /// Example:
    /// ```ts
    /// const layer = tl.ScanSRUCell('train');
    /// const [x, f, c] = [tl.ones([1, 3, 1]), tl.full([1, 3, 1], 0.5), tl.zeros([1, 1])];
    /// layer.init(tl.signature([x, f, c]));
    /// layer([x, f, c]).map((y) => y.shape); // → [ [ 1, 3, 1 ], [ 1, 1 ] ]
    /// ```
    pub struct ScanSruOptions for "ScanSRUCell" ("mode") {
        /// `'predict'` goes on where the last call ended.
        mode "mode": Mode,
        /// Layer without inputs that gives the mask.
        monkey_patched_mask "monkeyPatchedMask": Option<LayerArg> = None,
    }
}

options! {
    /// Runs a simple recurrent unit over a sequence; all its products are made for the whole sequence at once.
    ///
    /// Formula: `[r, f, y] = x · w + b`, `c′ = σ(f) c + (1 - σ(f)) y`, `h = σ(r) a(c′) + √3 (1 - σ(r)) x`, with the activation `a`.
    /// Where `depth` is neither `nUnits` nor 1, the last term has `x · v` in place of `x`.
    /// Shapes: `[batch, length, depth]` → `[batch, length, nUnits]`; float32 for float16 and bfloat16.
    /// Weights: `w: [depth, 3 · nUnits]`, `b: [3 · nUnits]` and, where it is needed, `v: [depth, nUnits]`, nested as the layers are.
    /// State: none; in mode `'predict'` the last `c`, where the next call goes on.
    /// Modes: goes on where it stopped in `'predict'`; in all others a call begins from zeros.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or has another depth than at `init`.
    /// Source: Trax; Lei et al. 2018, arXiv:1709.02755.
    /// See: `GRU`, `LSTM`.
    /// Example:
    /// ```ts
    /// const layer = tl.SRU(3);
    /// layer.init({ shape: [1, 5, 2], dtype: 'float32' });
    /// layer(tl.ones([1, 5, 2])).shape; // → [ 1, 5, 3 ]
    /// ```
    pub struct SruOptions for "SRU" ("nUnits") {
        /// Size of the state; need not be the depth of the input.
        n_units "nUnits": Dim,
        /// Layer applied to `c`; `null` takes `c` as it is.
        activation "activation": LayerNest = LayerNest::Null,
        /// `'predict'` goes on where the last call ended.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct InnerSruCell;

/// `c' = f c + x`.
pub fn inner_sru_cell() -> LayerRef {
    leaf(InnerSruCell)
}

impl Leaf for InnerSruCell {
    fn name(&self) -> String {
        "InnerSRUCell".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(3, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let y = elementwise_signature(inputs, |xs| Ok(xs[1].mul(&xs[2])?.add(&xs[0])?))?;
        Ok(vec![y.clone(), y])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let sum = call.xs[1].mul(&call.xs[2]).and_then(|y| y.add(&call.xs[0]));
        // Refuses in the words of the signature, which is not asked where all is well: a step is short.
        let refused = |e| {
            let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
            self.signature(&specs).err().unwrap_or_else(|| Error::from(e))
        };
        let y = sum.map_err(refused)?;
        Ok(vec![y.clone(), y].into())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { sequence: Some(self), ..Abilities::default() }
    }
}

impl WholeSequence for InnerSruCell {
    fn sequence(&self, s: Sequence) -> Result<Option<[Vec<Tensor>; 2]>> {
        let ([x, f], [state]) = (s.sliced, s.carry) else { return Ok(None) };
        if !runs_at_once(s.sliced, state, &[]) || x.shape() != f.shape() || x.shape()[2] != state.shape()[1] {
            return Ok(None);
        }
        let (y, last) = ops::linear_recurrence(x, f, state)?;
        Ok(Some([vec![y], vec![last]]))
    }
}

/// [`inner_sru_cell`] over axis 1.
///
/// # Errors
/// `InvalidOption` for a mask in another mode than `'predict'`.
pub fn scan_sru_cell(o: ScanSruOptions) -> Result<LayerRef> {
    let Some(LayerArg(mask)) = o.monkey_patched_mask else { return scan_of(inner_sru_cell(), o.mode) };
    if o.mode != Mode::Predict {
        return Err(Error::option("ScanSRUCell: `monkeyPatchedMask` is for mode 'predict' alone"));
    }
    if mask.arity() != Arity::new(0, 1) {
        return Err(Error::option(
            "ScanSRUCell: `monkeyPatchedMask` must be a layer without inputs and with one output",
        ));
    }
    Ok(serial(vec![mask, update_mask(), scan_of(masked_cell(), o.mode)?]))
}

/// The mask for `x`: one for the first position, then what `mask` says.
fn update_mask() -> LayerRef {
    let of = |mask: &[usize], x: &TensorSpec| match (mask, &x.shape[..]) {
        (&[rows, n], &[batch, length, ..]) if rows == batch && (n <= length || length == 1) => Ok([batch, length]),
        _ => Err(Error::shape(format!("a mask of shape {mask:?} does not fit the sequence {x}"))),
    };
    let signature =
        move |s: &[TensorSpec]| Ok(vec![TensorSpec::new(of(&s[0].shape, &s[1])?, DType::F32), s[1].clone()]);
    pure_layer("update_mask", 2, 2, signature, move |xs| {
        let (mask, x) = (&xs[0], &xs[1]);
        let [batch, length] = of(mask.shape(), &TensorSpec::of(x))?;
        let ones = |n: usize| Tensor::ones(&[batch, n], DType::F32, x.device());
        if length < 2 {
            return Ok(vec![ones(length)?, x.clone()]);
        }
        let n = mask.shape()[1];
        let start = (length - n).min(1);
        let mask = mask.ne_scalar(0)?.cast(DType::F32)?;
        Ok(vec![Tensor::concat(&[ones(start)?, mask, ones(length - start - n)?], 1)?, x.clone()])
    })
}

/// [`inner_sru_cell`] that leaves the rows alone whose mask is 0.
fn masked_cell() -> LayerRef {
    fn step(xs: &[Tensor]) -> Result<Tensor> {
        let mask = xs[0].expand_dims(-1)?;
        let next = xs[2].mul(&xs[3])?.add(&xs[1])?;
        Ok(next.mul(&mask)?.add(&xs[3].mul(&mask.rsub_scalar(1.0)?)?)?)
    }
    let signature = |s: &[TensorSpec]| {
        let shape = s[2].broadcast(&s[3])?.broadcast(&s[1])?.shape;
        let dtypes: Vec<DType> = s.iter().map(|s| s.dtype).collect();
        let y = TensorSpec::new(shape, result_dtype(&dtypes, step)?);
        Ok(vec![y.clone(), y])
    };
    pure_layer("MaskedInnerSRUCell", 4, 2, signature, |xs| {
        let y = step(xs)?;
        Ok(vec![y.clone(), y])
    })
}

/// The output of a unit: reset gates choose between the cell and the input, which goes through weights where its depth is another.
#[derive(Debug, Clone)]
struct FinalSruGate;

impl FinalSruGate {
    /// Whether inputs of this depth go through weights to become `units`.
    fn projects(depth: usize, units: usize) -> bool {
        depth != units && depth != 1
    }
    /// The input, or what its weights make of it.
    fn highway(x: &Tensor, units: usize, w: &Tree<Tensor>) -> Result<Tensor> {
        match x.shape().last() {
            Some(&depth) if Self::projects(depth, units) => {
                let w = w.matrix()?;
                check_weights(&[w.shape()], &[&[depth, units]])?;
                w.dense(x, None)
            }
            _ => Ok(x.clone()),
        }
    }
}

fn units(shape: &[usize]) -> Result<usize> {
    last_axis(shape, "FinalSRUGate needs a last axis")
}

impl Leaf for FinalSruGate {
    fn name(&self) -> String {
        "FinalSRUGate".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(3, 1)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let mut x = inputs[2].clone();
        let (depth, units) = (units(&x.shape)?, units(&inputs[0].shape)?);
        if Self::projects(depth, units) {
            *x.shape.last_mut().unwrap_or(&mut 0) = units;
            x.dtype = x.dtype.promote(DType::F32);
        }
        Ok(vec![inputs[0].broadcast(&inputs[1])?.broadcast(&x)?])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let (depth, units) = (units(&inputs[2].shape)?, units(&inputs[0].shape)?);
        Ok(if Self::projects(depth, units) {
            Local::weights(Tree::Leaf(glorot_uniform().make(&[depth, units], key)?))
        } else {
            Local::EMPTY
        })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [c, r] = [&call.xs[0], &call.xs[1]];
        let x = Self::highway(&call.xs[2], units(c.shape())?, call.w)?;
        Ok(c.mul(r)?.add(&x.mul(&r.rsub_scalar(1.0)?)?.mul_scalar(3f64.sqrt())?)?.into())
    }
    fn traits(&self) -> Traits {
        Traits { matrix: Some(ops::Outputs::Columns), ..Traits::LEAF }
    }
}

/// The layers a unit is made of, and a computation of all of them at once where there is no activation.
#[derive(Debug, Clone)]
struct Sru {
    units: usize,
    mode: Mode,
    plain: bool,
}

/// Simple recurrent unit over axis 1.
///
/// # Errors
/// None for the options a type allows; a result for the combinators' sake.
pub fn sru(o: SruOptions) -> Result<LayerRef> {
    let (n, activation) = (o.n_units.0, flat("SRU", vec![o.activation])?);
    let plain = activation.is_empty();
    let nothing = || LayerNest::List(Vec::new());
    let sigmoid = sigmoid()?;
    let weigh = |s: &[TensorSpec]| {
        let f = TensorSpec::new(s[1].shape.clone(), s[1].dtype.to_float());
        Ok(vec![s[2].broadcast(&f)?, s[1].clone(), s[0].clone()])
    };
    let mut layers = vec![
        branch(vec![dense(3 * n).into(), nothing()])?,
        split(3, -1),
        parallel(vec![sigmoid.clone(), sigmoid])?,
        pure_layer("Fn", 3, 3, weigh, |xs| {
            Ok(vec![xs[2].mul(&xs[1].rsub_scalar(1.0)?)?, xs[1].clone(), xs[0].clone()])
        }),
        parallel(vec![nothing(), nothing(), branch(vec![make_zero_state(1).into(), nothing()])?.into()])?,
        scan_of(inner_sru_cell(), o.mode)?,
        select(&[0], Some(2))?,
    ];
    layers.extend(activation);
    layers.push(leaf(FinalSruGate));
    let base = Base { to_print: Some(Vec::new()), ..Base::new(format!("SRU_{n}")) };
    Ok(composite(Parts { base, layers, arity: Arity::ONE }, Sru { units: n, mode: o.mode, plain }))
}

impl Sru {
    fn dense(parts: &Parts) -> &LayerRef {
        &parts.layers[0].sublayers()[1].sublayers()[0]
    }
    fn scan(parts: &Parts) -> &LayerRef {
        &parts.layers[5]
    }
    fn gate(parts: &Parts) -> &LayerRef {
        &parts.layers[parts.layers.len() - 1]
    }
    /// The output, computed at once; `None` where something does not fit, which the layers then say in their words.
    fn at_once(&self, parts: &Parts, cx: &mut Cx, x: &Tensor) -> Result<Option<Tensor>> {
        let (dense, gate) = (cx.weights(Self::dense(parts).base().id), cx.weights(Self::gate(parts).base().id));
        let (Ok([w, b]), 3) = (dense.many::<2>(), x.rank()) else { return Ok(None) };
        let n = self.units;
        let Ok(x_highway) = FinalSruGate::highway(x, n, &gate) else { return Ok(None) };
        let id = Self::scan(parts).base().id;
        if cx.streams().is_some() {
            // What each stream carries is the scan's.
            return Ok(None);
        }
        let kept = if self.mode == Mode::Predict { Tree::clone(&cx.state(id)) } else { Tree::EMPTY };
        let state = match kept.leaves()[..] {
            [] => Tensor::zeros(&[x.shape()[0], n], state_dtype(x.dtype().promote(w.dtype())), x.device())?,
            [state] => state.clone(),
            _ => return Ok(None),
        };
        let fits = w.shape() == [x.shape()[2], 3 * n] && b.shape() == [3 * n];
        if !self.plain
            || !fits
            || !runs_at_once(&[x.clone(), x_highway.clone()], &state, &[w, b])
            || state.shape()[1] != n
        {
            return Ok(None);
        }
        let x_highway = x_highway.broadcast_to(&[x.shape()[0], x.shape()[1], n])?;
        let (y, last) = ops::sru(&ops::dense(x, w, Some(b))?, &x_highway, &state)?;
        cx.set_state(id, if self.mode == Mode::Predict { Tree::tuple([last]) } else { Tree::EMPTY });
        Ok(Some(y))
    }
}

impl Composite for Sru {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        stack_signature(&parts.layers, inputs)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        cx.init_stack(&parts.layers, inputs).map(drop)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, mut xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        match self.at_once(parts, cx, &xs[0])? {
            Some(y) => {
                xs[0] = y;
                Ok(xs)
            }
            None => cx.apply_stack(&parts.layers, xs, key),
        }
    }
    fn traits(&self) -> Traits {
        Traits::ON_STACK
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.mode)
    }
}
