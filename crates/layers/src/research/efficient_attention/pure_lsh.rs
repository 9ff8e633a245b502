//! LSH self-attention without projections.
use super::{
    heads::check_parallel,
    lsh::{seen_rows, Lsh, Vectors},
    lsh_self_attention::Unused,
    memory::{self, Window},
    shared::{EfficientAttentionOptions, LSHOptions},
};
use crate::{
    framework::leaf::Repeatable, leaf, options, Abilities, Arity, Call, Dim, Error, LayerRef, Leaf, Local, Mode,
    Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{random::Key, DType, Tensor};

options! {
    /// Self-attention in which a position sees those that hash alike, for vectors already split into heads: `(qk, v) -> o`.
    ///
    /// As `LSHSelfAttention` without its projections: `qk` are queries and, divided by their root mean square, keys. The inputs decide sizes, and
    /// the output belongs to a projection that follows: `dQk`, `dV`, `outputDropout` and `useReferenceCode` are not read.
    /// Shapes: `(batch·nHeads, length, d_qk), (batch·nHeads, length, d_v)`, with `masked` also `(batch, length)`, true for valid positions
    /// `-> (batch·nHeads, length, d_v)`. No weights.
    /// State: `(buckets, keys)` of each head, `(batch·nHeads, nHashes·length)` int32 and `(batch·nHeads, 2)` uint32; in mode `'predict'`
    /// `(end, (inputs), (buckets, ends, keys))`. Each call hashes by new keys, except in `'predict'`.
    /// Kept for backward: inputs, buckets, the result and two numbers a position and head.
    /// Mode: dropout of attention strengths only in `'train'`, and `'predict'` continues a sequence, as in `LSHSelfAttention`.
    /// Errors: `InvalidOption` for mode `'predict'` without `causal`; `ShapeMismatch` when the leading axis is no multiple of `nHeads`.
    /// Source: Kitaev et al. 2020, arXiv:2001.04451.
    pub struct PureLSHSelfAttentionOptions for "PureLSHSelfAttention" () with (attention: EfficientAttentionOptions, lsh: LSHOptions) {
        /// Number of heads that share the leading axis with the batch.
        n_heads "nHeads": Dim = Dim(2),
        /// Not read: queries are always the keys.
        share_qk "shareQk": Unused = Unused,
        /// Not read: there are no projections.
        bias "bias": bool = false,
    }
}

#[derive(Debug, Clone)]
struct PureLSHSelfAttention {
    o: PureLSHSelfAttentionOptions,
}

/// See [`PureLSHSelfAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for options that contradict each other.
pub(super) fn pure_lsh_self_attention(o: PureLSHSelfAttentionOptions) -> Result<LayerRef> {
    check_parallel("PureLSHSelfAttention", o.n_heads.0, o.lsh.n_parallel_heads)?;
    let layer = PureLSHSelfAttention { o };
    layer.window()?;
    Ok(leaf(layer))
}

impl PureLSHSelfAttention {
    fn lsh(&self) -> Lsh<'_> {
        Lsh::new(&self.o.attention, &self.o.lsh)
    }
    /// What predict mode remembers; an error where the options do not allow it.
    fn window(&self) -> Result<Option<Window>> {
        self.lsh().window("PureLSHSelfAttention")
    }
    fn predict(&self, call: &Call, window: &Window) -> Result<(Tensor, Tree<Tensor>)> {
        let (seen, own) = window.take(call.xs, call.s)?;
        let mask = seen.inputs.get(2).map(|m| m.cast(DType::Bool)).transpose()?;
        let (qk, v) = (&seen.inputs[0], &seen.inputs[1]);
        // Of no examples there is no row to take a step in.
        let (out, own) = if seen.new != 1 || qk.shape()[0] == 0 {
            self.lsh().first(qk, v, mask.as_ref(), own, (window, seen.new))?
        } else {
            let (rows, d_qk, d_v) = (qk.shape()[0], qk.shape()[2], v.shape()[2]);
            let q = qk.narrow(1, seen.start, 1)?.reshape(&[rows, d_qk])?;
            let valid = mask.map(|m| seen_rows(&m, rows)).transpose()?;
            let look = |row: usize, places: &Tensor| -> Result<(Tensor, Tensor)> {
                let of = |x: &Tensor| x.index(0, row as isize)?.take(places, 0);
                Ok((of(qk)?, of(v)?))
            };
            let (out, own) = self.lsh().step(&q, seen.start, (own, window), valid.as_deref(), &look)?;
            (out.reshape(&[rows, 1, d_v])?, own)
        };
        Ok((out, Window::state(&seen, own)))
    }
    /// A call; where `left` is the state that the same call left before, by its buckets.
    fn run(&self, call: Call, left: Option<&Tree<Tensor>>) -> Result<Output> {
        let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
        let dtype = self.signature(&specs)?[0].dtype;
        let window = self.window()?;
        let refitted = memory::refitted(&call, window.as_ref(), |specs| self.init(specs, call.key))?;
        let call = Call { s: refitted.as_ref().unwrap_or(call.s), ..call };
        let (y, state) = match window {
            Some(window) => {
                if let Some(out) = memory::one_by_one(&call, |call| self.forward(call))? {
                    return Ok(out);
                }
                self.predict(&call, &window)?
            }
            None => {
                let mask = call.xs.get(2).map(|m| m.cast(DType::Bool)).transpose()?;
                let (attend_key, _) = call.key.split_pair();
                let vectors = Vectors::Apart(&call.xs[0], &call.xs[1]);
                match left {
                    Some(left) => self.lsh().again(vectors, mask.as_ref(), left, attend_key)?,
                    None => self.lsh().whole(vectors, mask.as_ref(), call.s, attend_key)?,
                }
            }
        };
        Ok(Output { ys: vec![y.cast(dtype)?], state: Some(state) })
    }
}

impl Leaf for PureLSHSelfAttention {
    fn name(&self) -> String {
        "PureLSHSelfAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(if self.o.attention.masked { 3 } else { 2 }, 1)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.window()?;
        let (qk, v, heads) = (&inputs[0], &inputs[1], self.o.n_heads.0);
        if qk.rank() != 3 || v.rank() != 3 || qk.shape[..2] != v.shape[..2] {
            return Err(Error::shape(format!("expected (batch·heads, length, features) twice, got {qk} and {v}")));
        }
        let rows = qk.shape[0];
        if !rows.is_multiple_of(heads) {
            return Err(Error::shape(format!("the leading axis of {qk} is no multiple of nHeads {heads}")));
        }
        if let Some(mask) = inputs.get(2) {
            super::heads::check_mask(mask, rows / heads, qk.shape[1])?;
        }
        Ok(vec![TensorSpec::new(v.shape.clone(), super::heads::output(v))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let window = self.window()?;
        let own = self.lsh().init(inputs[0].shape[0], inputs[0].shape[1], window.as_ref(), key)?;
        Ok(Local::state(match &window {
            None => own,
            Some(window) => window.init(inputs, own)?,
        }))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.run(call, None)
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.attention.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.o.attention.mode == Mode::Predict, own_backward: true, ..Traits::LEAF }
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { repeat: Some(self), ..Abilities::default() }
    }
}

impl Repeatable for PureLSHSelfAttention {
    fn repeat(&self, call: Call, left: &Tree<Tensor>) -> Result<Output> {
        self.run(call, Some(left))
    }
}
