//! The operations, one file per family. Each is a method of [`crate::Tensor`] and records its gradient rule.

mod activation;
pub(crate) mod args;
mod arithmetic;
mod attention;
mod batch_norm;
mod binary;
mod cast;
mod compare;
mod conv;
mod decode;
mod depthwise;
mod dropout;
mod einsum;
mod embedding;
mod flat;
mod fold;
pub(crate) mod general;
mod index;
mod join;
mod linear_cross_entropy;
mod loss;
mod lsh_attention;
mod make;
mod matmul;
mod norm;
mod optimizer;
mod pool;
mod quantized;
mod recurrent;
mod reduce;
mod reduce_general;
mod segments;
mod shape;
mod slice;
mod softmax;
mod sort;
mod unary;
mod unary_rules;
mod window;
pub use activation::{bias_activation, Activation};
pub use args::{Axes, Scalar};
pub use attention::{attention, penalized_attention, AttentionOptions, PenalizedAttentionOptions};
pub use batch_norm::{batch_norm, BatchNormed};
pub use conv::conv;
pub use decode::{attend, Past};
pub use depthwise::causal_depthwise_conv;
pub use dropout::dropout;
pub use embedding::embedding;
pub use linear_cross_entropy::{linear_cross_entropy, LinearCrossEntropyOptions};
pub use loss::cross_entropy;
pub use lsh_attention::{chunked_attention, chunked_attention_joint, hash_buckets, ChunkedAttentionOptions};
pub use matmul::dense;
pub use norm::{layer_norm, rms_norm};
pub use optimizer::{
    adafactor_slots, adafactor_update, adam_update, clip_by_global_norm, clip_factor, global_norm, lion_update,
    momentum_update, orthogonalize, rms_prop_update, sgd_update, sm3_update, AdafactorStep, AdamStep, Clip, LionStep,
    MomentumStep, RmsPropStep, SgdStep, Sm3Moments, Sm3Step,
};
pub use pool::{pool, Pooling};
pub use quantized::{dense_quantized, embedding_quantized, Outputs, Quantization, Quantized};
pub use recurrent::{gru, gru_cell, gru_cell_by, linear_recurrence, lstm, lstm_cell, lstm_cell_by, sru, GruWeights};
pub use window::{Padding, Windows};
