//! Attention to the positions up to each.
use super::{dtype_of, rectified, with_ones, without_ones};
use crate::{
    assert_shape::check_inputs, leaf, options, Arity, Call, Error, ErrorKind, LayerRef, Leaf, Local, Mode, NotNegative,
    Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{random::Key, Axes, DType, Tensor};

options! {
    /// Attends so that no position sees a later one, in time and memory that grow linearly with the length.
    ///
    /// Formula: `y[t] = φ(q[t]) · (Σ φ(k[s])ᵀ v[s]) / (φ(q[t]) · Σ φ(k[s])ᵀ)`, with sums over `s ≤ t` and
    /// `φ(x) = relu(x) + numericalStabilizer`.
    /// Shapes: queries and keys `[batch, length, d]`, values `[batch, length, depth]` → `[batch, length, depth]`.
    /// Weights: none.
    /// State: none; in mode `'predict'` the sums so far, `[batch, d, depth + 1]`.
    /// Modes: in `'predict'` it goes on where the call before ended.
    /// Errors:
    /// - `ShapeMismatch`: the inputs do not fit each other or, in predict mode, those of the calls before.
    /// Source: Trax; Choromanski et al. 2020, arXiv:2006.03555.
    /// See: `CausalFavor`, with projections.
    /// Example:
    /// ```ts
    /// const layer = tl.CausalFavorAttention();
    /// const x = tl.ones([1, 3, 4]);
    /// layer.init(tl.signature([x, x, x]));
    /// layer([x, x, x]).shape; // → [ 1, 3, 4 ]
    /// ```
    pub struct CausalFavorAttentionOptions for "CausalFavorAttention" () {
        /// Added to features.
        numerical_stabilizer "numericalStabilizer": NotNegative = NotNegative(0.001),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

/// Positions that see each other one by one; what is before them they see in sum.
const CHUNK: usize = 64;

#[derive(Debug, Clone)]
struct CausalFavorAttention(CausalFavorAttentionOptions);

/// See [`CausalFavorAttentionOptions`].
pub fn causal_favor_attention(o: CausalFavorAttentionOptions) -> LayerRef {
    leaf(CausalFavorAttention(o))
}

/// For each position the sum of `v` up to it, weighed by the products of its `q` with the `k`; and the sum of all `kᵀ v`. `before` is that of
/// positions before these.
fn sums_so_far(q: &Tensor, k: &Tensor, v: &Tensor, before: Option<Tensor>) -> Result<(Tensor, Option<Tensor>)> {
    let (batch, length) = (q.shape()[0], q.shape()[1]);
    if length == 0 {
        return Ok((v.clone(), before));
    }
    let size = CHUNK.min(length);
    let chunks = length.div_ceil(size);
    let parted = |x: &Tensor| {
        let padded = x.pad(&[(0, 0), (0, chunks * size - length), (0, 0)], 0.0)?;
        padded.reshape(&[batch, chunks, size, x.shape()[2]])
    };
    let [q, k, v] = [parted(q)?, parted(k)?, parted(v)?];
    let turned = k.swap_axes(-1, -2)?;
    let earlier = Tensor::tril_mask(size, size, 0, q.device())?.cast(q.dtype())?;
    let near = q.matmul(&turned)?.mul(&earlier)?.matmul(&v)?;
    // What each chunk adds to the sums, and so what they are before each chunk and after the last.
    let added = turned.matmul(&v)?;
    let first = match before {
        Some(before) => before.expand_dims(1)?,
        None => added.narrow(1, 0, 1)?.zeros_like()?,
    };
    let seen = Tensor::concat(&[first, added], 1)?.cumsum(1)?;
    let sums = near.add(&q.matmul(&seen.narrow(1, 0, chunks)?)?)?;
    let sums = sums.reshape(&[batch, chunks * size, v.shape()[3]])?.narrow(1, 0, length)?;
    Ok((sums, Some(seen.index(1, chunks as isize)?)))
}

impl CausalFavorAttention {
    /// The shape of the sums of products of keys and values.
    fn sums(inputs: &[TensorSpec]) -> [usize; 3] {
        [inputs[1].shape[0], inputs[1].shape[2], inputs[2].shape[2] + 1]
    }
}

impl Leaf for CausalFavorAttention {
    fn name(&self) -> String {
        "CausalFavorAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(3, 1)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        check_inputs("bld,bld,blv->blv", inputs)?;
        let dtype = dtype_of(&[inputs[0].dtype, inputs[1].dtype, inputs[2].dtype]);
        Ok(vec![TensorSpec::new(inputs[2].shape.clone(), dtype)])
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        self.signature(inputs)?;
        if self.0.mode != Mode::Predict {
            return Ok(Local::EMPTY);
        }
        Ok(Local::state(Tree::Leaf(TensorSpec::new(Self::sums(inputs), DType::F32).zeros()?)))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let specs: Vec<TensorSpec> = call.xs.iter().map(TensorSpec::of).collect();
        let dtype = self.signature(&specs)?[0].dtype;
        let [q, k, v] = call.xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 3 inputs")) };
        let features = |x: &Tensor| rectified(&x.cast(dtype)?, self.0.numerical_stabilizer);
        let before = if self.0.mode == Mode::Predict {
            let (mut before, wanted) = (call.s.one()?.clone(), Self::sums(&specs));
            if before.shape()[0] != wanted[0] && before.shape()[1..] == wanted[1..] {
                if before.ne_scalar(0)?.any(Axes::All, false)?.item()? != 0.0 {
                    return Err(Error::other_batch(wanted[0], before.shape()[0]));
                }
                // Nothing is remembered yet, so that any number of sequences can begin.
                before = Tensor::zeros(&wanted, before.dtype(), before.device())?;
            }
            if before.shape() != wanted {
                return Err(Error::shape(format!(
                    "the sums of earlier positions have shape {:?}, but these inputs need {wanted:?}",
                    before.shape()
                )));
            }
            Some(before.cast(dtype)?)
        } else {
            None
        };
        let (sums, seen) = sums_so_far(&features(q)?, &features(k)?, &with_ones(&v.cast(dtype)?)?, before)?;
        let state = match seen.filter(|_| self.0.mode == Mode::Predict) {
            Some(seen) => Some(Tree::Leaf(seen.detach().cast(DType::F32)?)),
            None => None,
        };
        Ok(Output { ys: vec![without_ones(&sums)?], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict, ..Traits::LEAF }
    }
}
