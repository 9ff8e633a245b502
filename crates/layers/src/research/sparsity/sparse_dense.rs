//! A dense layer or one of its sparse stand-ins.
use super::{
    einsum_dense::{einsum_dense, EinsumDenseOptions},
    factored_dense::{factored_dense, FactoredDenseOptions},
    local_dense::{locally_connected_dense_printing, LocallyConnectedDenseOptions},
    low_rank_dense::{low_rank_dense, LowRankDenseOptions},
    random_layer::choose,
};
use crate::{
    assert_shape::assert_function,
    choice,
    core::{dense_of, DenseOptions},
    options, Count, Dim, Error, Fraction, LayerRef, Mode, Result,
};

choice! {
    /// What stands in for a dense layer.
    pub enum SparsityType: "'mult' | 'lowrank' | 'einsum' | 'local' | 'local3' | 'None'", "'mult', 'lowrank', 'einsum', 'local', 'local3' or 'None'" {
        /// `FactoredDense`.
        Mult = "mult",
        /// `LowRankDense`.
        LowRank = "lowrank",
        /// `EinsumDense`.
        Einsum = "einsum",
        /// `LocallyConnectedDense`.
        Local = "local",
        /// `LocallyConnectedDense` with a kernel of 3 modules.
        Local3 = "local3",
        /// Nothing.
        Nothing = "None",
    }
}

options! {
    /// Maps the last axis by `Dense`, or by what `sparsityType` puts in its place.
    ///
    /// - `'mult'` is `FactoredDense(sparsity, dInput, nUnits)`.
    /// - `'lowrank'` is `LowRankDense(nUnits, dLowrank)`.
    /// - `'einsum'` is `EinsumDense(dInput, nUnits, useBias)`.
    /// - `'local'` and `'local3'` are `LocallyConnectedDense(sparsity, nUnits / sparsity)`, with a `kernelSize` of 1 or 3.
    /// - `'None'`, `null`, or a `sparsity` of 0 is `Dense(nUnits)`.
    ///
    /// With `probSparse`, that layer and a `Dense(nUnits)` both have weights. Each call in training runs the first with that
    /// probability, else the second.
    ///
    /// Shapes: `[..., dInput]` → `[..., nUnits]`.
    /// Weights: those of the layer, or of both.
    /// State: none.
    /// Modes: in `'train'`, and where `mode` is left out, `probSparse` counts. In all others the layer that `sparsityType` names runs.
    /// Errors:
    /// - `InvalidOption`: an option that the type needs is missing, `sparsity` does not divide `nUnits`, or the type does not have
    ///   `useBias: false` or `useBfloat16`.
    /// - `ShapeMismatch`: the layer does not take the input.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.SparseDenseWithOptions(6, { sparsityType: 'mult', sparsity: 2, dInput: 4 });
    /// layer.init({ shape: [1, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 4])).shape; // → [ 1, 6 ]
    /// ```
    pub struct SparseDenseWithOptionsOptions for "SparseDenseWithOptions" ("nUnits") {
        /// Size of the output's last axis.
        n_units "nUnits": Dim,
        /// Size of the input's last axis; `'mult'` and `'einsum'` need it.
        d_input "dInput": Option<Dim> = None,
        /// What stands in for a dense layer.
        sparsity_type "sparsityType": Option<SparsityType> = None,
        /// Modules of the output, for `'mult'`, `'local'` and `'local3'`; 0: a dense layer, whatever the type.
        sparsity "sparsity": Count = Count(0),
        /// Size of the axis between the two layers of `'lowrank'`, which needs it.
        d_lowrank "dLowrank": Option<Count> = None,
        /// Probability that a call in training runs the sparse layer and not a dense one beside it; `null`: there is none beside it.
        prob_sparse "probSparse": Option<Fraction> = None,
        /// Whether this is training, for `probSparse`; `null`: it is.
        mode "mode": Option<Mode> = None,
        /// Whether to add a bias; only `'mult'`, `'einsum'` and dense layers can do without.
        use_bias "useBias": bool = true,
        /// Whether weights are bfloat16; only `'mult'` and dense layers can have those.
        use_bfloat16 "useBfloat16": bool = false,
    }
}

fn refused(text: impl std::fmt::Display) -> Error {
    Error::option(format!("SparseDenseWithOptions: {text}"))
}

/// See [`SparseDenseWithOptionsOptions`].
///
/// # Errors
/// `InvalidOption` for options that do not go with the type.
pub fn sparse_dense_with_options(o: SparseDenseWithOptionsOptions) -> Result<LayerRef> {
    let layer = match o.prob_sparse {
        Some(Fraction(probability)) => {
            let sparse = assert_function("...a->...b", without_chance(&o)?)?;
            choose(sparse, all_units(&o), probability, o.mode)?
        }
        None => without_chance(&o)?,
    };
    assert_function("...a->...b", layer)
}

/// A dense layer.
fn all_units(o: &SparseDenseWithOptionsOptions) -> LayerRef {
    let (use_bias, use_bfloat16) = (o.use_bias, o.use_bfloat16);
    dense_of(DenseOptions { use_bias, use_bfloat16, ..DenseOptions::new(o.n_units) })
}

/// The layer of the type.
fn without_chance(o: &SparseDenseWithOptionsOptions) -> Result<LayerRef> {
    use SparsityType::{Einsum, Local, Local3, LowRank, Mult, Nothing};
    let sparsity = o.sparsity.0;
    let kind = o.sparsity_type.filter(|_| sparsity > 0).unwrap_or(Nothing);
    let name = crate::options::OptionType::show(&kind);
    if o.use_bfloat16 && !matches!(kind, Mult | Nothing) {
        return Err(refused(format!("sparsityType {name} has no bfloat16 weights; leave out `useBfloat16`")));
    }
    if !o.use_bias && matches!(kind, LowRank | Local | Local3) {
        return Err(refused(format!("sparsityType {name} always has a bias; leave out `useBias`")));
    }
    if matches!(kind, Mult | Local | Local3) && !o.n_units.0.is_multiple_of(sparsity) {
        let units = o.n_units.0;
        return Err(refused(format!("`nUnits` must be a multiple of `sparsity`, got {units} and {sparsity}")));
    }
    let d_input = || {
        let missing = || refused(format!("sparsityType {name} needs `dInput`, the size of the input's last axis"));
        o.d_input.ok_or_else(missing)
    };
    let local = |kernel_size| {
        let options = LocallyConnectedDenseOptions::new(Dim(sparsity), Dim(o.n_units.0 / sparsity));
        let options = LocallyConnectedDenseOptions { kernel_size: Dim(kernel_size), ..options };
        // Trax divides to get the units, so its names spell them as a fraction.
        locally_connected_dense_printing(&format!("{}.0", o.n_units.0 / sparsity), options)
    };
    match kind {
        Nothing => Ok(all_units(o)),
        Mult => factored_dense(FactoredDenseOptions {
            use_bias: o.use_bias,
            use_bfloat16: o.use_bfloat16,
            ..FactoredDenseOptions::new(Dim(sparsity), d_input()?, o.n_units)
        }),
        LowRank => match o.d_lowrank {
            Some(Count(d)) if d > 0 => low_rank_dense(LowRankDenseOptions { n_units: o.n_units, d_lowrank: Dim(d) }),
            _ => Err(refused("sparsityType 'lowrank' needs a `dLowrank` of at least 1")),
        },
        Einsum => einsum_dense(EinsumDenseOptions { d_input: d_input()?, d_output: o.n_units, use_bias: o.use_bias }),
        Local => local(1),
        Local3 => local(3),
    }
}
