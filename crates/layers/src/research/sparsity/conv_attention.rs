//! Causal attention whose queries, keys and values are convolved from one gated projection.
use super::{
    causal_attention::{factored, modules, SparseCausalAttentionOptions},
    local_dense::{locally_conv_dense, LocallyConvDenseOptions},
};
use crate::{
    assert_shape::assert_function,
    attention::{merge_heads, split_into_heads, MergeHeadsOptions, SplitIntoHeadsOptions},
    choice,
    combinators::{concatenate, parallel, select, serial},
    framework::pure::pure_layer,
    options, Dim, Error, LayerNest, LayerRef, Rate, Result, TensorSpec,
};

choice! {
    /// What the result of attention goes through.
    pub enum OutputLayerType: "'none' | 'mult' | 'conv' | 'multconv'", "'none', 'mult', 'conv' or 'multconv'" {
        /// Nothing.
        Nothing = "none",
        /// A `FactoredDense`.
        Mult = "mult",
        /// A `LocallyConvDense`.
        Conv = "conv",
        /// The one and then the other.
        MultConv = "multconv",
    }
}
choice! {
    /// What values are made of.
    pub enum VConcatType: "'original' | 'fixed' | 'none'", "'original', 'fixed' or 'none'" {
        /// The projection and the input behind it.
        Original = "original",
        /// Each module of the projection with that module of the input behind it.
        Fixed = "fixed",
        /// The projection.
        Nothing = "none",
    }
}

options! {
    /// Attends causally with queries, keys and values that are `LocallyConvDense` layers of one `FactoredDense` of the input.
    ///
    /// Formula: `p = FactoredDense(m, d, d)(x)`, where `m` is `sparsity`. Queries and keys see 3 neighbouring modules and the last
    /// `lengthKernelSize` positions of `p`; values see one module and as many positions of `p`, or, by `vConcatType`, of `p` and `x`.
    /// With `shareQk` the queries are the keys.
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of the `FactoredDense`, of three `LocallyConvDense` (two with `shareQk`), and of what `outputLayerType` adds.
    /// State: none; in mode `'predict'` that of `DotProductCausalAttention` and of each `LocallyConvDense`.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` or `sparsity` does not divide `dFeature`, or there is `useSegments` and a `lengthKernelSize` above 1.
    /// - `ShapeMismatch`: the input does not have three axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.MultiplicativeConvCausalAttention(8, { nHeads: 2, sparsity: 4 });
    /// layer.init({ shape: [1, 3, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 8])).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct MultiplicativeConvCausalAttentionOptions for "MultiplicativeConvCausalAttention" ("dFeature")
        with (causal: SparseCausalAttentionOptions) {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Modules of a projection; `null`: as many as heads.
        sparsity "sparsity": Option<Dim> = None,
        /// Positions that a convolution sees, the present one included.
        length_kernel_size "lengthKernelSize": Dim = Dim(3),
        /// Whether nothing is dropped, whatever `dropout` is.
        force_no_dropout "forceNoDropout": bool = false,
        /// Whether queries are the keys.
        share_qk "shareQk": bool = false,
        /// What the result goes through.
        output_layer_type "outputLayerType": OutputLayerType = OutputLayerType::Nothing,
        /// What values are made of.
        v_concat_type "vConcatType": VConcatType = VConcatType::Nothing,
    }
}

/// See [`MultiplicativeConvCausalAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for sizes that do not divide.
pub fn multiplicative_conv_causal_attention(o: MultiplicativeConvCausalAttentionOptions) -> Result<LayerRef> {
    let modules = modules("MultiplicativeConvCausalAttention", o.d_feature, o.causal.n_heads, o.sparsity)?;
    if o.causal.use_segments && o.length_kernel_size.0 > 1 {
        return Err(Error::option(format!(
            "MultiplicativeConvCausalAttention: `useSegments` needs `lengthKernelSize: 1`, got {}, as a convolution of several positions mixes segments",
            o.length_kernel_size.0
        )));
    }
    let (n_heads, merged_batch_and_head) = (o.causal.n_heads, true);
    let split = || split_into_heads(SplitIntoHeadsOptions { n_heads, merged_batch_and_head });
    let conv = |kernel_size| {
        locally_conv_dense(LocallyConvDenseOptions {
            n_modules: Dim(modules),
            n_units: Dim(o.d_feature.0 / modules),
            mode: o.causal.mode,
            kernel_size: Dim(kernel_size),
            length_kernel_size: o.length_kernel_size,
        })
    };
    let dropout = if o.force_no_dropout { Rate(0.0) } else { o.causal.dropout };
    let attend = SparseCausalAttentionOptions { dropout, ..o.causal }.attend()?;
    let mut values = joined(o.v_concat_type, o.d_feature.0, modules)?;
    values.extend([conv(1)?, split()?]);
    let values = LayerNest::List(values.into_iter().map(LayerNest::One).collect());

    let mut layers = vec![select(&[0, 0], None)?, factored(modules, o.d_feature)?];
    if o.share_qk {
        let passed = || LayerNest::List(Vec::new());
        layers.extend([select(&[0, 0], None)?, conv(3)?, split()?, select(&[0, 0], None)?]);
        layers.push(parallel(vec![passed(), passed(), values])?);
    } else {
        let seen = || Ok::<_, Error>(LayerNest::List(vec![LayerNest::One(conv(3)?), LayerNest::One(split()?)]));
        layers.push(select(&[0, 0, 0], None)?);
        layers.push(parallel(vec![seen()?, seen()?, values])?);
    }
    layers.push(attend);
    layers.push(merge_heads(MergeHeadsOptions { n_heads, merged_batch_and_head })?);
    if matches!(o.output_layer_type, OutputLayerType::Mult | OutputLayerType::MultConv) {
        layers.push(factored(modules, o.d_feature)?);
    }
    if matches!(o.output_layer_type, OutputLayerType::Conv | OutputLayerType::MultConv) {
        layers.push(conv(3)?);
    }
    assert_function(o.causal.shapes(), serial(layers))
}

/// What makes one tensor of the projection and the input.
fn joined(how: VConcatType, d_feature: usize, modules: usize) -> Result<Vec<LayerRef>> {
    let parted = |name| reshaping(name, vec![d_feature], vec![modules, d_feature / modules]);
    Ok(match how {
        VConcatType::Nothing => vec![select(&[0], Some(2))?],
        VConcatType::Original => vec![concatenate(2, -1)],
        VConcatType::Fixed => vec![
            parallel(vec![parted("Reshape1"), parted("Reshape2")])?,
            concatenate(2, -1),
            reshaping("Reshape3", vec![modules, 2 * (d_feature / modules)], vec![2 * d_feature]),
        ],
    })
}

/// A layer that gives the axes behind batch and length, of shape `from`, the shape `to`.
fn reshaping(name: &str, from: Vec<usize>, to: Vec<usize>) -> LayerRef {
    let shape = move |x: &TensorSpec| match &x.shape[..] {
        [batch, length, rest @ ..] if *rest == from => Ok([&[*batch, *length], &to[..]].concat()),
        _ => Err(Error::shape(format!("the axes behind batch and length must be {from:?}, got {x}"))),
    };
    let of = shape.clone();
    pure_layer(
        name,
        1,
        1,
        move |s| Ok(vec![s[0].with_shape(of(&s[0])?)]),
        move |xs| Ok(vec![xs[0].reshape(&shape(&TensorSpec::of(&xs[0]))?)?]),
    )
}
