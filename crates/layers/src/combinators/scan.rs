//! A layer applied step by step along an axis.
use super::around::around;
use crate::{
    framework::rows, options, remat::Recompute, Axis, Composite, Count, Cx, Error, InitCx, LayerArg, LayerId, LayerRef,
    Mode, Nesting, Parts, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{memory, random::Key, Tensor};

options! {
    /// Applies a layer to the slices along an axis, one after another, and hands carried values from step to step.
    ///
    /// The layer sees one slice of each input, and behind them the carried values. It returns outputs, which are stacked along `axis`, and
    /// behind them the new carried values. Step `i` draws random numbers with the call's key folded with `i`.
    ///
    /// Shapes: for `axis` 0 and one carried value, `[steps, ...]`, `[...carried]` → `[steps, ...]`, `[...carried]`. Carried values keep their
    /// shape and type from step to step.
    /// Weights: a list of one entry, the layer's.
    /// State: `[the layer's, carried]`; `carried` is empty but in `'predict'`.
    /// Modes: in `'predict'` a call goes on with the carried values of the call before.
    /// Errors:
    /// - `InvalidOption`: `nCarry` leaves no input to slice, or the layer has fewer outputs than `nCarry`.
    /// - `ShapeMismatch`: the sizes along `axis` differ, or a carried value comes out of a step with another shape or type.
    ///
    /// Source: Trax.
    /// See: `LSTM`, `GRU`.
    /// Example:
    /// ```ts
    /// // A running sum: the new total is an output and the next carried value.
    /// const layer = tl.Scan(tl.Serial(tl.Add(), tl.Dup()));
    /// layer.init([{ shape: [3], dtype: 'int32' }, { shape: [], dtype: 'int32' }]);
    /// layer([[1, 2, 3], 10]); // → [Tensor int32[3] [11,13,16], Tensor int32[] 16]
    /// ```
    pub struct ScanOptions for "Scan" ("layer") {
        /// Layer to apply at each step.
        layer "layer": LayerArg,
        /// Axis to slice along.
        axis "axis": Axis = Axis(0),
        /// Number of carried values.
        n_carry "nCarry": Count = Count(1),
        /// Whether the backward pass computes each step again instead of keeping its intermediate values.
        remat "remat": bool = false,
        /// `'predict'` keeps the carried values between calls.
        mode "mode": Mode = Mode::Train,
    }
}

/// A layer applied step by step along an axis.
///
/// # Errors
/// `InvalidOption` when all inputs are carried, or there are fewer outputs than carried values.
pub fn scan(o: ScanOptions) -> Result<LayerRef> {
    let ScanOptions { layer, axis, n_carry: Count(n_carry), remat, mode } = o;
    let a = layer.0.arity();
    if a.n_in <= n_carry || a.n_out < n_carry {
        return Err(Error::option(format!(
            "Scan: `nCarry` {n_carry} leaves no input to slice, or exceeds the outputs, of a layer with {} inputs and {} outputs",
            a.n_in, a.n_out
        )));
    }
    let (n_sliced, n_stacked) = (a.n_in - n_carry, a.n_out - n_carry);
    Ok(around("Scan", layer.0, Scan { axis: axis.0, n_carry, n_sliced, n_stacked, remat, mode }))
}

#[derive(Debug, Clone)]
struct Scan {
    axis: isize,
    n_carry: usize,
    n_sliced: usize,
    n_stacked: usize,
    remat: bool,
    mode: Mode,
}

impl Scan {
    /// Whether carried values are kept between calls.
    fn keeps_carry(&self) -> bool {
        self.mode == Mode::Predict && self.n_carry > 0
    }
    /// The number of steps, and the signatures of the layer's inputs in one.
    fn step(&self, inputs: &[TensorSpec]) -> Result<(usize, Vec<TensorSpec>)> {
        let mut specs = inputs.to_vec();
        let mut steps = None;
        for (s, original) in specs[..self.n_sliced].iter_mut().zip(inputs) {
            let at = s.axis(self.axis)?;
            let n = s.shape.remove(at);
            if *steps.get_or_insert(n) != n {
                let text = format!("{} and {original} have different sizes along axis {}", inputs[0], self.axis);
                return Err(Error::shape(text));
            }
        }
        Ok((steps.unwrap_or(0), specs))
    }
    /// Outputs and last carried values from a layer that can run whole sequences, which need not recompute steps.
    fn at_once(
        &self,
        inner: &LayerRef,
        cx: &Cx,
        sliced: &[Tensor],
        carry: &[Tensor],
        n: usize,
    ) -> Result<Option<Vec<Tensor>>> {
        if n == 0 || self.remat || sliced.iter().any(|x| x.rank() < 2) {
            return Ok(None);
        }
        let xs = sliced.iter().map(|x| Ok(x.move_axis(self.axis, 1)?)).collect::<Result<Vec<_>>>()?;
        let Some([ys, last]) = inner.sequence(cx, &xs, carry)? else { return Ok(None) };
        let ys = ys.iter().map(|y| Ok(y.move_axis(1, self.axis)?)).chain(last.into_iter().map(Ok));
        ys.collect::<Result<_>>().map(Some)
    }
    /// Pieces of a batch, where streams are its rows: they are one after the other, so all are run at once. `None` for steps.
    fn as_one_piece(&self, inner: &LayerRef, cx: &mut Cx, sliced: &[Tensor], key: Key) -> Result<Option<Vec<Tensor>>> {
        if cx.streams().is_none() || self.n_carry > 0 || sliced.is_empty() {
            return Ok(None);
        }
        for x in sliced {
            if x.rank() < 2 || TensorSpec::of(x).axis(self.axis)? != 0 {
                return Ok(None);
            }
        }
        let pieces = sliced[0].shape()[0];
        let joined = |x: &Tensor| x.reshape(&[&[x.shape()[0] * x.shape()[1]], &x.shape()[2..]].concat());
        let xs = sliced.iter().map(joined).collect::<tallow_tensor::Result<_>>()?;
        let key = cx.fold_in(key, 0);
        let ys = cx.apply(inner, xs, key)?;
        let parted = |y: &Tensor| {
            let rows = rows::per_stream(y, pieces.max(1))?;
            Ok(y.reshape(&[&[pieces, rows], &y.shape()[1..]].concat())?)
        };
        ys.iter().map(parted).collect::<Result<_>>().map(Some)
    }
    /// What streams carry into a call: each what it kept, or what comes where it kept nothing yet.
    fn carried_by_streams(&self, kept: &[Tree<Tensor>], sliced: &[Tensor], first: &[Tensor]) -> Result<Vec<Tensor>> {
        let n = kept.len();
        for x in sliced {
            if TensorSpec::of(x).axis(self.axis)? == 0 && n > 1 {
                let what =
                    format!("the first axis of {:?} is that of the steps; streams need one in front of it", x.shape());
                return Err(Error::shape(what));
            }
        }
        let mut columns = vec![Vec::with_capacity(n); first.len()]; // few
        for (i, kept) in kept.iter().enumerate() {
            let first = first.iter().map(|x| rows::of_stream(x, i, n)).collect::<Result<Vec<_>>>()?;
            let kept: Vec<Tensor> = kept.leaves().into_iter().cloned().collect();
            check_kept(&first, &kept)?;
            let carried = if kept.is_empty() { first } else { kept };
            columns.iter_mut().zip(carried).for_each(|(column, x)| column.push(x));
        }
        columns.iter().map(|column| rows::joined(column)).collect()
    }
    /// Keeps what is carried for the call after this one.
    fn keep(&self, cx: &mut Cx, own: LayerId, carry: &[Tensor]) -> Result<()> {
        let state = match cx.streams() {
            _ if !self.keeps_carry() => Tree::EMPTY,
            None => Tree::tuple(carry.iter().cloned()),
            Some(n) => {
                let of =
                    |i| Ok(Tree::tuple(carry.iter().map(|x| rows::of_stream(x, i, n)).collect::<Result<Vec<_>>>()?));
                Tree::Rows((0..n).map(of).collect::<Result<_>>()?)
            }
        };
        cx.set_state(own, state);
        Ok(())
    }
    fn stacked(&self, s: &TensorSpec, n: usize) -> Result<TensorSpec> {
        let mut shape = s.shape.clone();
        shape.push(n);
        let stacked = s.with_shape(shape);
        let at = stacked.axis(self.axis)?;
        let mut shape = s.shape.clone();
        shape.insert(at, n);
        Ok(s.with_shape(shape))
    }
    fn check_carry(&self, before: &[TensorSpec], after: &[TensorSpec]) -> Result<()> {
        for (b, a) in before.iter().zip(after) {
            if a != b {
                return Err(Error::shape(format!("a carried value went into the step as {b} and came out as {a}")));
            }
        }
        Ok(())
    }
}

impl Composite for Scan {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let (n, specs) = self.step(inputs)?;
        let mut ys = crate::signature(&parts.layers[0], &specs)?;
        let k = self.n_stacked;
        self.check_carry(&specs[self.n_sliced..], &ys[k..])?;
        for y in &mut ys[..k] {
            *y = self.stacked(y, n)?;
        }
        Ok(ys)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        cx.init(&parts.layers[0], &self.step(inputs)?.1)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let (inner, own) = (&parts.layers[0], parts.id());
        let inputs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
        let (n, mut specs) = self.step(&inputs)?;
        let (sliced, first) = xs.split_at(self.n_sliced);
        if let Some(ys) = self.as_one_piece(inner, cx, sliced, key)? {
            return Ok(ys);
        }
        let mut carry = first.to_vec();
        let keeps = self.keeps_carry();
        let streams = cx.streams().filter(|_| keeps);
        if let Some(n) = streams {
            carry = self.carried_by_streams(&rows::states(cx, own, n), sliced, first)?;
        } else if keeps {
            let kept = cx.state(own);
            if !kept.is_empty() {
                carry = kept.leaves().into_iter().cloned().collect();
                check_kept(first, &carry)?;
                specs.truncate(self.n_sliced);
                specs.extend(carry.iter().map(TensorSpec::of));
            }
        }
        if let Some(ys) = self.at_once(inner, cx, sliced, &carry, n)? {
            self.keep(cx, own, &ys[self.n_stacked..])?;
            return Ok(ys);
        }
        let k = self.n_stacked;
        let mut columns: Vec<Vec<Tensor>> = (0..k).map(|_| Ok(memory::room(n)?)).collect::<Result<_>>()?;
        let mut slices = sliced.iter().map(|x| Ok(x.unstack(self.axis)?.into_iter())).collect::<Result<Vec<_>>>()?;
        let recompute = self.remat.then(|| Recompute::new(inner));
        for i in 0..n {
            let mut inputs: Vec<Tensor> = slices.iter_mut().filter_map(Iterator::next).collect();
            inputs.append(&mut carry);
            let key = cx.fold_in(key, i as u32);
            let mut ys = match &recompute {
                Some(r) => r.apply(cx, inputs, key)?,
                None => cx.apply(inner, inputs, key)?,
            };
            carry = ys.split_off(k);
            self.check_carry(&specs[self.n_sliced..], &carry.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
            columns.iter_mut().zip(ys).for_each(|(column, y)| column.push(y));
        }
        let mut ys = if n == 0 {
            let outputs = crate::signature(inner, &specs)?;
            outputs[..k].iter().map(|y| Ok(self.stacked(y, 0)?.zeros()?)).collect::<Result<Vec<_>>>()?
        } else {
            columns.iter().map(|column| Ok(Tensor::stack(column, self.axis)?)).collect::<Result<Vec<_>>>()?
        };
        self.keep(cx, own, &carry)?;
        ys.append(&mut carry);
        Ok(ys)
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.keeps_carry(), ..Traits::COMPOSITE }
    }
    fn nesting(&self) -> Nesting<'_> {
        Nesting::OwnStateLast
    }
}

/// Refuses to go on with values of another batch than the one that comes.
fn check_kept(first: &[Tensor], kept: &[Tensor]) -> Result<()> {
    for (x, kept) in first.iter().zip(kept) {
        match (x.shape(), kept.shape()) {
            (new, old) if new == old => {}
            ([new, rest @ ..], [old, kept @ ..]) if rest == kept => return Err(Error::other_batch(*new, *old)),
            (new, old) => {
                return Err(Error::shape(format!(
                    "the value kept from the call before has shape {old:?}, where this call brings {new:?}; call init(signature) to begin anew"
                )))
            }
        }
    }
    Ok(())
}
