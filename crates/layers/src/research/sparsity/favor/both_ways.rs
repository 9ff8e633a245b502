//! Attention to all positions that a mask shows.
use super::{dtype_of, features::Features, rectified, with_ones, without_ones};
use crate::{
    attention::head_size, leaf, options, Arity, Call, Dim, Error, ErrorKind, LayerRef, Leaf, Mode, NotNegative, Output,
    Result, TensorSpec,
};

options! {
    /// Attends to all keys that a mask shows, in time and memory that grow linearly with the length.
    ///
    /// Formula: `y = φ(q) · (Σ m φ(k)ᵀ v) / (φ(q) · Σ m φ(k)ᵀ)`, with `φ(x) = relu(x) + numericalStabilizer`. With
    /// `useApproximateSoftmax` it is `φ(x) = (e^(w · x - |x|²/2 - c) + epsilon) / √nRandomFeatures`, for random directions `w`,
    /// orthogonal in blocks and the same in each layer, where `c` is the largest `w · x` of a query, or of all keys of a row. A row
    /// whose keys are all masked gives 0.
    /// Shapes: queries `[n, length, d]`, keys `[n, length, d]`, values `[n, length, depth]`, a mask of `n / nHeads` times `length`
    /// numbers, such as `[batch, 1, 1, length]` → `[n, length, depth]` and the mask. The heads of a sequence stand beside each other.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the inputs do not fit each other, or with `useApproximateSoftmax` `d` is not `dFeature / nHeads`.
    /// Source: Trax; Choromanski et al. 2020, arXiv:2006.03555.
    /// See: `Favor`, with projections.
    /// Example:
    /// ```ts
    /// const layer = tl.FavorAttention();
    /// const [x, mask] = [tl.ones([1, 3, 4]), tl.ones([1, 1, 1, 3])];
    /// layer.init(tl.signature([x, x, x, mask]));
    /// layer([x, x, x, mask]).map((y) => y.shape); // → [ [ 1, 3, 4 ], [ 1, 1, 1, 3 ] ]
    /// ```
    pub struct FavorAttentionOptions for "FavorAttention" () {
        /// Width of all heads together, with `useApproximateSoftmax`.
        d_feature "dFeature": Dim = Dim(4),
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Random features, with `useApproximateSoftmax`.
        n_random_features "nRandomFeatures": Dim = Dim(256),
        /// Added to features, without `useApproximateSoftmax`.
        numerical_stabilizer "numericalStabilizer": NotNegative = NotNegative(0.001),
        /// Whether features are those that approximate softmax attention, and not rectified queries and keys.
        use_approximate_softmax "useApproximateSoftmax": bool = false,
        /// Whether random directions have the lengths of normal vectors, and not all the same.
        scale_by_norm "scaleByNorm": bool = true,
        /// Whether products of queries and keys are divided by the root of their size, as in softmax attention.
        normalize_data "normalizeData": bool = false,
        /// Added to features, with `useApproximateSoftmax`.
        epsilon "epsilon": NotNegative = NotNegative(0.0001),
        /// How the layer behaves: the same in every mode.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct FavorAttention {
    o: FavorAttentionOptions,
    /// Those that approximate softmax attention, if they are used.
    features: Option<Features>,
}

/// See [`FavorAttentionOptions`].
///
/// # Errors
/// `InvalidOption` unless `nHeads` divides `dFeature`, with `useApproximateSoftmax`.
pub fn favor_attention(o: FavorAttentionOptions) -> Result<LayerRef> {
    let features = if o.use_approximate_softmax {
        let d = head_size(o.d_feature.0, o.n_heads.0).map_err(|e| Error::option(e.message().to_string()))?;
        Some(Features::new(o.n_random_features.0, d, o.scale_by_norm, o.normalize_data, o.epsilon.0)?)
    } else {
        None
    };
    Ok(leaf(FavorAttention { o, features }))
}

impl Leaf for FavorAttention {
    fn name(&self) -> String {
        "FavorAttention".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(4, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::assert_shape::check_inputs("nqd,nld,nlv->nqv", &inputs[..3])?;
        let [q, k, v, mask] = inputs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 4 inputs")) };
        let (n, heads) = (k.shape[0], self.o.n_heads.0);
        if !n.is_multiple_of(heads) || mask.shape.iter().product::<usize>() != n / heads * k.shape[1] {
            return Err(Error::shape(format!("{mask} does not mask the keys {k} of {heads} heads")));
        }
        if let Some(width) = self.features.as_ref().map(Features::width).filter(|&d| d != q.shape[2]) {
            return Err(Error::shape(format!("heads are {} deep, but dFeature / nHeads is {width}", q.shape[2])));
        }
        let dtype = dtype_of(&[q.dtype, k.dtype, v.dtype]);
        Ok(vec![TensorSpec::new([n, q.shape[1], v.shape[2]], dtype), mask.clone()])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let specs = self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let [q, k, v, mask] = call.xs else { return Err(Error::new(ErrorKind::ArityMismatch, "takes 4 inputs")) };
        let (dtype, heads) = (specs[0].dtype, self.o.n_heads.0);
        let (q, k, v) = (q.cast(dtype)?, k.cast(dtype)?, v.cast(dtype)?);
        let (n, length) = (k.shape()[0], k.shape()[1]);
        let (q, k) = match &self.features {
            // There is no greatest exponent where there are no numbers.
            Some(_) if q.size() == 0 || k.size() == 0 => (q, k),
            Some(features) => (features.of(&q, true)?, features.of(&k, false)?),
            None => (rectified(&q, self.o.numerical_stabilizer)?, rectified(&k, self.o.numerical_stabilizer)?),
        };
        let mask_of_heads = mask.cast(dtype)?.reshape(&[n / heads, 1, length, 1])?;
        let keys = k.reshape(&[n / heads, heads, length, k.shape()[2]])?.mul(&mask_of_heads)?.reshape(k.shape())?;
        let sums = q.matmul(&keys.swap_axes(-1, -2)?.matmul(&with_ones(&v)?)?)?;
        Ok(vec![without_ones(&sums)?, mask.clone()].into())
    }
}
