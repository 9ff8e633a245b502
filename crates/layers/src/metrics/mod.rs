//! Losses and accuracies: layers that make one number of model outputs, targets and weights.
mod accuracy;
mod binary;
mod category;
mod common;
mod f_score;
mod items;
mod language;
mod linear_cross_entropy;
mod per_category;
mod regression;
mod targets;
mod top_k;

pub use accuracy::{
    accuracy, masked_sequence_accuracy, sequence_accuracy, AccuracyOptions, MaskedSequenceAccuracyOptions,
    SequenceAccuracyOptions,
};
pub use binary::{BinaryCrossEntropyLossOptions, BinaryCrossEntropyOptions, BinaryCrossEntropySumOptions};
pub use category::{
    category_accuracy, category_cross_entropy, cross_entropy_loss, cross_entropy_loss_with_log_softmax,
    cross_entropy_sum, weighted_category_accuracy, weighted_category_cross_entropy, weighted_sum,
    CategoryAccuracyOptions, CategoryCrossEntropyOptions, CrossEntropyLossOptions,
    CrossEntropyLossWithLogSoftmaxOptions, CrossEntropySumOptions, WeightedCategoryAccuracyOptions,
    WeightedCategoryCrossEntropyOptions, WeightedSumOptions,
};
pub use f_score::{MacroAveragedFScoreOptions, WeightedFScoreOptions};
pub use items::ItemOptions;
pub use language::{BitsPerByteOptions, PerplexityOptions};
pub use linear_cross_entropy::{
    linear_cross_entropy, weighted_linear_cross_entropy, LinearCrossEntropyHeadOptions, LinearCrossEntropyOptions,
    WeightedLinearCrossEntropyOptions,
};
pub use per_category::{ConfusionMatrixOptions, FScoreOptions, PrecisionOptions, RecallOptions};
pub use regression::{L2LossOptions, MeanAbsoluteErrorOptions, MeanSquaredErrorOptions, SmoothL1LossOptions};
pub use top_k::TopKAccuracyOptions;

use crate::{entry, options::Entry, LayerRef};
use f_score::f_score;

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("metrics", CategoryAccuracyOptions, |o: CategoryAccuracyOptions| {
        Ok(category_accuracy(o.ignore_label.map(|n| n.0)))
    }),
    entry!("metrics", WeightedCategoryAccuracyOptions, |o: WeightedCategoryAccuracyOptions| {
        Ok(weighted_category_accuracy(o.ignore_label.map(|n| n.0)))
    }),
    entry!("metrics", CategoryCrossEntropyOptions, |o: CategoryCrossEntropyOptions| {
        Ok(category_cross_entropy(o.label_smoothing.map_or(0.0, |f| f.0), o.ignore_label.map(|n| n.0)))
    }),
    entry!("metrics", WeightedCategoryCrossEntropyOptions, |o: WeightedCategoryCrossEntropyOptions| {
        let (smoothing, ignored) = (o.label_smoothing.map_or(0.0, |f| f.0), o.ignore_label.map(|n| n.0));
        Ok(weighted_category_cross_entropy(smoothing, o.cutoff.0, ignored))
    }),
    entry!("metrics", LinearCrossEntropyOptions, linear_cross_entropy),
    entry!("metrics", WeightedLinearCrossEntropyOptions, weighted_linear_cross_entropy),
    entry!("metrics", BinaryCrossEntropyOptions, |_| Ok(binary::binary_cross_entropy())),
    entry!("metrics", MaskedSequenceAccuracyOptions, |_| Ok(masked_sequence_accuracy())),
    entry!("metrics", AccuracyOptions, |o: AccuracyOptions| Ok(accuracy(o.classifier.0))),
    entry!("metrics", SequenceAccuracyOptions, |o: SequenceAccuracyOptions| Ok(sequence_accuracy(o.classifier.0))),
    entry!("metrics", CrossEntropyLossOptions, |_| Ok(cross_entropy_loss())),
    entry!("metrics", CrossEntropyLossWithLogSoftmaxOptions, |_| Ok(cross_entropy_loss_with_log_softmax())),
    entry!("metrics", BinaryCrossEntropyLossOptions, |_| Ok(binary::loss())),
    entry!("metrics", L2LossOptions, |_| Ok(regression::l2_loss())),
    entry!("metrics", SmoothL1LossOptions, |_| Ok(regression::smooth_l1_loss())),
    entry!("metrics", MacroAveragedFScoreOptions, |o: MacroAveragedFScoreOptions| {
        Ok(f_score("MacroAveragedFScore", o.beta.0, o.initial_category_index.0, false))
    }),
    entry!("metrics", WeightedFScoreOptions, |o: WeightedFScoreOptions| {
        Ok(f_score("WeightedFScore", o.beta.0, o.initial_category_index.0, true))
    }),
    entry!("metrics", WeightedSumOptions, |_| Ok(weighted_sum())),
    entry!("metrics", CrossEntropySumOptions, |_| Ok(cross_entropy_sum())),
    entry!("metrics", BinaryCrossEntropySumOptions, |_| Ok(binary::sum())),
    entry!("metrics", MeanSquaredErrorOptions, |_| Ok(regression::mean_squared_error())),
    entry!("metrics", MeanAbsoluteErrorOptions, |_| Ok(regression::mean_absolute_error())),
    entry!("metrics", TopKAccuracyOptions, |o| Ok(top_k::top_k_accuracy(o))),
    entry!("metrics", PerplexityOptions, |o: PerplexityOptions| Ok(language::perplexity(o.items))),
    entry!("metrics", BitsPerByteOptions, |o: BitsPerByteOptions| {
        Ok(language::bits_per_byte(o.ignore_label.map(|n| n.0)))
    }),
    entry!("metrics", ConfusionMatrixOptions, |o: ConfusionMatrixOptions| Ok(per_category::confusion_matrix(o.items))),
    entry!("metrics", PrecisionOptions, |o: PrecisionOptions| Ok(per_category::precision(o.items))),
    entry!("metrics", RecallOptions, |o: RecallOptions| Ok(per_category::recall(o.items))),
    entry!("metrics", FScoreOptions, |o| Ok(per_category::f_score(o))),
];
