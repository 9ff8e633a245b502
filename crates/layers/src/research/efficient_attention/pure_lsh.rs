//! LSH self-attention without projections.
use super::{
    heads::check_parallel,
    lsh::{Lsh, Vectors},
    lsh_self_attention::Unused,
    memory::{self, Window},
    positions::{self, Positions},
    shared::{EfficientAttentionOptions, LSHOptions},
};
use crate::{
    framework::leaf::Repeatable, leaf, options, Abilities, Arity, Call, Dim, Error, Filled, HostValue, LayerRef, Leaf,
    Local, Mode, Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Attends as `LSHSelfAttention` does, without projections, for vectors that are already split into heads.
    ///
    /// The first input holds the queries and, divided by their root mean square, the keys. The inputs decide the sizes, and the output
    /// is for a projection that follows. So `dQk`, `dV`, `outputDropout` and `useReferenceCode` change nothing.
    ///
    /// Formula: that of `LSHSelfAttention`, without weights.
    /// Shapes: queries `[batch · nHeads, length, dQk]`, values `[batch · nHeads, length, dV]`, with `masked` also `bool[batch, length]`
    /// → `[batch · nHeads, length, dV]`. The mask is true at valid positions. With `useSegments` also segment ids
    /// `int32[batch, length]`, the last input, which are an output too.
    /// Weights: none.
    /// State: `[buckets, keys]` of each head, `int32[batch · nHeads, nHashes · length]` and `uint32[batch · nHeads, 2]`. In mode
    /// `'predict'` it is `[end, inputs, [buckets, ends, keys]]`.
    /// Modes: drops attention strengths in `'train'` only. Each call hashes by new keys, except in `'predict'`, which goes on with a
    /// sequence as `LSHSelfAttention` does.
    /// Gradient: the backward pass computes attention again. It keeps inputs, buckets, the result, and two numbers for each position
    /// and head.
    /// Errors:
    /// - `InvalidOption`: the mode is `'predict'` without `causal`.
    /// - `ShapeMismatch`: `nHeads` does not divide the first axis, or the shapes do not fit each other.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451.
    /// See: `PureLSHSelfAttentionWrapper`, which adds projections.
    /// Example:
    /// ```ts
    /// const layer = tl.PureLSHSelfAttention({ nHeads: 2, chunkLen: 4, nBuckets: 4, causal: true });
    /// const x = tl.ones([2, 8, 4]);
    /// layer.init(tl.signature([x, x]));
    /// layer([x, x]).shape; // → [ 2, 8, 4 ]
    /// ```
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

/// [`pure_lsh_self_attention`] of what a layer around it was given, which is looked at here.
///
/// # Errors
/// Those of its options.
pub(super) fn pure_lsh_given(given: Vec<(&'static str, HostValue)>) -> Result<LayerRef> {
    let given = given.into_iter().map(|(name, v)| (name.to_string(), v)).collect();
    pure_lsh_self_attention(PureLSHSelfAttentionOptions::parse(&HostValue::Record(given))?)
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
        let told = Positions::read(&self.o.attention, &seen.inputs(2)?)?;
        let (out, own) = match (&seen.window[..], call.xs) {
            // Of no examples there is no row to take a step in.
            ([qk, v, ..], [new, of_v, ..]) if seen.new == 1 && new.shape()[0] > 0 => {
                let (rows, d_qk, d_v) = (new.shape()[0], new.shape()[2], of_v.shape()[2]);
                let q = new.cast(qk.spec().dtype)?.reshape(&[rows, d_qk])?;
                let look = |row: usize, places: &[i32]| -> Result<(Tensor, Tensor)> {
                    let of = |x: &Filled| -> Result<Tensor> { Ok(x.take(row, places)?.index(0, 0)?) };
                    Ok((of(qk)?, of(v)?))
                };
                let (out, own) = self.lsh().step(&q, seen.start, (own, window), &told, &look)?;
                (out.reshape(&[rows, 1, d_v])?, own)
            }
            _ => {
                let inputs = seen.inputs(0)?;
                self.lsh().first(&inputs[0], &inputs[1], &told, own, (window, seen.new))?
            }
        };
        Ok((out, window.state(&seen, own)?))
    }
    /// A call, without the segments among its outputs; where `left` is the state that the same call left before, by its buckets.
    fn run(&self, call: Call, left: Option<&Tree<Tensor>>) -> Result<Output> {
        let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
        let dtype = self.signature(&specs)?[0].dtype;
        let window = self.window()?;
        let refitted = memory::refitted(&call, window.as_ref(), |specs| self.init(specs, call.key))?;
        let call = Call { s: refitted.as_ref().unwrap_or(call.s), ..call };
        let (y, state) = match window {
            Some(window) => {
                if let Some(out) = memory::one_by_one(&call, |call| self.run(call, None))? {
                    return Ok(out);
                }
                self.predict(&call, &window)?
            }
            None => {
                let told = Positions::read(&self.o.attention, &call.xs[2..])?;
                let (attend_key, _) = call.key.split_pair();
                let vectors = Vectors::Apart(&call.xs[0], &call.xs[1]);
                match left {
                    Some(left) => self.lsh().again(vectors, &told, left, attend_key)?,
                    None => self.lsh().whole(vectors, &told, call.s, attend_key)?,
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
        let own = &self.o.attention;
        Arity::new(2 + positions::count(own), 1 + usize::from(own.use_segments))
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
        positions::check(&self.o.attention, &inputs[2..], [rows / heads, qk.shape[1]])?;
        let y = TensorSpec::new(v.shape.clone(), super::heads::output(v));
        Ok(positions::outputs(&self.o.attention, y, inputs))
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
        let xs = call.xs;
        Ok(positions::with_segments(&self.o.attention, self.run(call, None)?, xs))
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
        let xs = call.xs;
        Ok(positions::with_segments(&self.o.attention, self.run(call, Some(left))?, xs))
    }
}
