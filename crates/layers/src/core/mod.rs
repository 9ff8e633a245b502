//! Core layers, and the functions of that module.
mod dense;
mod dropout;
mod embedding;
mod functions;
mod gaussian;
mod locally_connected;
mod lora;
mod masked_mean;
mod python;
mod random_uniform;
mod reductions;
mod shaping;
mod summary;
mod tied;
mod weights;

pub(crate) use dense::dense_named;
pub use dense::{dense, dense_of, DenseOptions};
pub(crate) use dropout::mask_shape;
pub use dropout::{dropout, dropout_over, Dropout, DropoutOptions};
pub use embedding::{embedding, embedding_of, EmbeddingOptions};
pub(crate) use functions::{gumbel_noise, is_category};
pub use functions::{logsoftmax_sample, one_hot, LogSoftmaxFunctionOptions, LogsoftmaxSampleOptions, OneHotOptions};
pub use gaussian::{
    log_gaussian_diag_pdf, log_gaussian_pdf, multigaussian_loss, LogGaussianDiagPdfOptions, LogGaussianPdfOptions,
    MultigaussianLossOptions,
};
pub(crate) use locally_connected::locally_connected_1d_named;
pub use locally_connected::{locally_connected_1d, LocallyConnected1dOptions, Padding1d};
pub use lora::{dense_layers, lora, merge_lora, with_lora, LoRAAdapterOptions, LoRAOptions};
pub use masked_mean::MaskedMeanOptions;
pub(crate) use python::python_tuple;
pub use random_uniform::{random_uniform, RandomUniformOptions};
pub use reductions::{
    arg_max, log_softmax, log_sum_exp, mean, softmax, ArgMaxOptions, LogSoftmaxOptions, LogSumExpOptions, MaxOptions,
    MeanOptions, MinOptions, SoftmaxOptions, SumOptions,
};
pub(crate) use shaping::print_shapes;
pub use shaping::{
    flatten, negate, print_shape, stop_gradient, threshold_to_binary, to_float, FlattenOptions, NegateOptions,
    PrintShapeOptions, StopGradientOptions, ThresholdToBinaryOptions, ToFloatOptions,
};
pub use summary::{SummaryImageOptions, SummaryScalarOptions};
pub(crate) use tied::Tied;
pub use tied::{tied_dense, TiedDenseOptions};
pub(crate) use weights::listed_weights;
pub use weights::{weights, WeightsOptions};

use crate::{entry, options::Entry, HostValue, LayerRef};
use reductions::{extreme, reduction};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("core", DenseOptions, |o| Ok(dense_of(o))),
    entry!("core", LoRAOptions, lora),
    entry!("core", EmbeddingOptions, |o| Ok(embedding_of(o))),
    entry!("core", TiedDenseOptions, tied_dense),
    entry!("core", DropoutOptions, |o: DropoutOptions| {
        Ok(dropout_over(o.rate.0, o.shared_axes.map(|a| a.0).unwrap_or_default(), o.mode))
    }),
    entry!("core", WeightsOptions, |o| Ok(weights::build(o))),
    entry!("core", PrintShapeOptions, |o: PrintShapeOptions| Ok(print_shape(o.n_in.0, o.msg))),
    entry!("core", SummaryImageOptions, |o| Ok(summary::image(o))),
    entry!("core", SummaryScalarOptions, |o| Ok(summary::scalar(o))),
    entry!("core", RandomUniformOptions, random_uniform::build),
    entry!("core", LocallyConnected1dOptions, locally_connected_1d),
    entry!("core", FlattenOptions, |o: FlattenOptions| Ok(flatten(o.n_axes_to_keep.0))),
    entry!("core", LogSoftmaxOptions, |o: LogSoftmaxOptions| Ok(log_softmax(o.axis))),
    entry!("core", LogSumExpOptions, |o: LogSumExpOptions| Ok(log_sum_exp(o.axis))),
    entry!("core", SoftmaxOptions, |o: SoftmaxOptions| Ok(softmax(o.axis))),
    entry!("core", ToFloatOptions, |_| Ok(to_float())),
    entry!("core", MeanOptions, |o: MeanOptions| { Ok(reduction("Mean", o.axis, o.keepdims, |t, a, k| t.mean(a, k))) }),
    entry!("core", MaskedMeanOptions, |_| Ok(masked_mean::masked_mean())),
    entry!(
        "core",
        MinOptions,
        |o: MinOptions| Ok(extreme(("Min", "least"), o.axis, o.keepdims, |t, a, k| t.min(a, k)))
    ),
    entry!("core", MaxOptions, |o: MaxOptions| Ok(
        extreme(("Max", "greatest"), o.axis, o.keepdims, |t, a, k| t.max(a, k))
    )),
    entry!("core", SumOptions, |o: SumOptions| { Ok(reduction("Sum", o.axis, o.keepdims, |t, a, k| t.sum(a, k))) }),
    entry!("core", ThresholdToBinaryOptions, |o: ThresholdToBinaryOptions| Ok(threshold_to_binary(o.threshold.0))),
    entry!("core", ArgMaxOptions, |o: ArgMaxOptions| Ok(arg_max(o.axis.map(|a| a.0)))),
    entry!("core", NegateOptions, |_| negate()),
    entry!("core", StopGradientOptions, |_| stop_gradient()),
];

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("core", OneHotOptions, |o: OneHotOptions| one_hot(&o.x.0, o.n_categories.0, o.dtype).map(HostValue::Tensor)),
    entry!("core", LogSoftmaxFunctionOptions, |o: LogSoftmaxFunctionOptions| {
        let x = o.x.0.cast(o.x.0.dtype().to_float())?;
        Ok(HostValue::Tensor(x.log_softmax(o.axis.0)?))
    }),
    entry!("core", LogsoftmaxSampleOptions, |o: LogsoftmaxSampleOptions| {
        logsoftmax_sample(&o.log_probs.0, o.temperature.0, o.key.map(|k| k.0)).map(HostValue::Tensor)
    }),
    entry!("core", LogGaussianPdfOptions, |o: LogGaussianPdfOptions| {
        log_gaussian_pdf(&o.x.0, &o.mu.0, &o.sigma.0).map(HostValue::Tensor)
    }),
    entry!("core", LogGaussianDiagPdfOptions, |o: LogGaussianDiagPdfOptions| {
        log_gaussian_diag_pdf(&o.x.0, &o.mu.0, &o.diag_sigma.0).map(HostValue::Tensor)
    }),
    entry!("core", MultigaussianLossOptions, |o: MultigaussianLossOptions| {
        multigaussian_loss(&o.preds.0, &o.targets.0, o.ngauss.0).map(HostValue::Tensor)
    }),
];
