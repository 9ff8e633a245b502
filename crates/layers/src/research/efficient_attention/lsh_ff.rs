//! A feed-forward block that computes only what hashes alike.
use super::hashing::{hash_vecs, Buckets};
use crate::{
    initializers::{glorot_uniform, random_normal},
    leaf, options, Call, Dim, Error, Initializer, LayerRef, Leaf, Local, Mode, Output, Result, TensorSpec, Tree,
};
use std::sync::{Arc, Mutex};
use tallow_tensor::{memory, random::Key, DType, Tensor};

options! {
    /// Maps each vector through a feed-forward block of which only those hidden units count whose weights hash as the vector does.
    ///
    /// Formula: `y = relu((x · w1ᵀ) ∘ h) · w2 + b2`, where `h` is 1 for a vector and a row of `w1` that share the bucket of at least
    /// one of `nHashes` rounds (`hashVecs`, by the key of the call), else 0.
    /// Shapes: `[..., dModel]` → `[..., dModel]`.
    /// Weights: `[w1, w2, b2]`, with `w1: [dFf, dModel]`, `w2: [dFf, dModel]` and `b2: [dModel]`.
    /// State: none.
    /// Modes: gives the same in all. In `'predict'` hidden units that share no bucket are not computed, and the buckets of `w1` are
    /// kept between calls with one key.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axes, or another width than at `init`.
    /// Source: Trax.
    /// See: `SparseFF`.
    /// Example:
    /// ```ts
    /// const layer = tl.LSHFF(16, 4);
    /// layer.init({ shape: [2, 8], dtype: 'float32' });
    /// layer(tl.ones([2, 8])).shape; // → [ 2, 8 ]
    /// ```
    pub struct LSHFFOptions for "LSHFF" ("dFf", "nBuckets") {
        /// Number of hidden units.
        d_ff "dFf": Dim,
        /// Number of buckets, or numbers whose product it is; even.
        n_buckets "nBuckets": Buckets,
        /// Rounds of hashing.
        n_hashes "nHashes": Dim = Dim(4),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Makes `w1` and `w2`, of shape `[dFf, dModel]`.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes `b2`, of shape `[dModel]`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
    }
}

/// Buckets of a matrix by a key; the matrix is held so that its storage is not another's meanwhile.
#[derive(Debug)]
struct Known {
    key: Key,
    matrix: Tensor,
    buckets: Tensor,
}

#[derive(Debug, Clone)]
struct LshFeedForward {
    o: LSHFFOptions,
    /// What predict mode found last: nothing but a saving of time.
    known: Arc<Mutex<Option<Known>>>,
}

/// See [`LSHFFOptions`].
pub(super) fn lsh_ff(o: LSHFFOptions) -> LayerRef {
    leaf(LshFeedForward { o, known: Arc::default() })
}

impl LshFeedForward {
    fn hash(&self, vecs: &Tensor, key: Key) -> Result<Tensor> {
        Ok(hash_vecs(&vecs.detach(), &self.o.n_buckets, self.o.n_hashes.0, key)?.0)
    }
    fn hash_weights(&self, w1: &Tensor, key: Key) -> Result<Tensor> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(k) = &*known {
            if k.key == key && k.matrix.storage_id() == w1.storage_id() && k.matrix.shape() == w1.shape() {
                return Ok(k.buckets.clone());
            }
        }
        let buckets = self.hash(w1, key)?;
        *known = Some(Known { key, matrix: w1.detach(), buckets: buckets.clone() });
        Ok(buckets)
    }
    /// All hidden units, those that share no bucket set to zero.
    fn dense(&self, x: &Tensor, w1: &Tensor, w2: &Tensor, key: Key) -> Result<Tensor> {
        let (mine, theirs) = (self.hash(x, key)?, self.hash(w1, key)?);
        let mut alike: Option<Tensor> = None;
        for round in 0..self.o.n_hashes.0 as isize {
            let here = mine.index(0, round)?.expand_dims(1)?.eq(&theirs.index(0, round)?)?;
            alike = Some(match alike {
                None => here,
                Some(before) => before.logical_or(&here)?,
            });
        }
        let products = x.matmul(&w1.swap_axes(0, 1)?)?;
        let alike = alike.map(|a| a.cast(products.dtype())).transpose()?;
        let hidden = match alike {
            None => products,
            Some(a) => products.mul(&a)?,
        };
        Ok(hidden.relu()?.matmul(w2)?)
    }
    /// Only the hidden units that share a bucket, vector by vector.
    fn sparse(&self, x: &Tensor, w1: &Tensor, w2: &Tensor, key: Key) -> Result<Tensor> {
        let (rows, units) = (x.shape()[0], w1.shape()[0]);
        let (mine, theirs) = (self.hash(x, key)?.to_vec::<i32>()?, self.hash_weights(w1, key)?.to_vec::<i32>()?);
        let mut ys = memory::room(rows)?;
        for row in 0..rows {
            let alike = |unit: &usize| (0..self.o.n_hashes.0).any(|h| mine[h * rows + row] == theirs[h * units + unit]);
            let mut places: Vec<i32> = memory::room(units)?;
            places.extend((0..units).filter(alike).map(|unit| unit as i32));
            let x = x.narrow(0, row, 1)?;
            if places.is_empty() {
                ys.push(Tensor::zeros(&[1, w2.shape()[1]], x.dtype().promote(w2.dtype()), x.device())?);
                continue;
            }
            let n = places.len();
            let places = Tensor::from_vec(places, &[n])?;
            let hidden = x.matmul(&w1.take(&places, 0)?.swap_axes(0, 1)?)?.relu()?;
            ys.push(hidden.matmul(&w2.take(&places, 0)?)?);
        }
        if ys.is_empty() {
            return Ok(x.clone());
        }
        Ok(Tensor::concat(&ys, 0)?)
    }
}

fn width(x: &TensorSpec) -> Result<usize> {
    x.shape.last().copied().ok_or_else(|| Error::shape("the input is a 0-d tensor, but LSHFF needs a last axis"))
}

impl Leaf for LshFeedForward {
    fn name(&self) -> String {
        format!("LSHFF_{}", self.o.d_ff.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        width(&inputs[0])?;
        Ok(vec![TensorSpec::new(inputs[0].shape.clone(), inputs[0].dtype.promote(DType::F32))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let (keys, shape) = (key.split(3), [self.o.d_ff.0, width(&inputs[0])?]);
        let w1 = self.o.kernel_initializer.make(&shape, keys[0])?;
        let w2 = self.o.kernel_initializer.make(&shape, keys[1])?;
        Ok(Local::weights(Tree::tuple([w1, w2, self.o.bias_initializer.make(&shape[1..], keys[2])?])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [w1, w2, b2] = call.w.many()?;
        let d = width(&TensorSpec::of(&call.xs[0]))?;
        let wanted = [self.o.d_ff.0, d];
        if w1.shape() != wanted || w2.shape() != wanted {
            let (a, b) = (w1.shape(), w2.shape());
            return Err(Error::shape(format!("the input needs weights of shape {wanted:?}, got {a:?} and {b:?}")));
        }
        let x = call.xs[0].cast(call.xs[0].dtype().promote(w1.dtype()))?;
        let rows = x.reshape(&[x.size().checked_div(d).unwrap_or(0), d])?;
        let skips = self.o.mode == Mode::Predict;
        let y = if skips { self.sparse(&rows, w1, w2, call.key)? } else { self.dense(&rows, w1, w2, call.key)? };
        Ok(y.add(b2)?.reshape(x.shape())?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.mode)
    }
}
