//! Layers of Trax's `research` folder, module by module.
pub mod efficient_attention;
pub mod position_encodings;
pub mod rel_attention;
pub mod resampling;
pub mod rotary_positional_embedding;
pub mod sparsity;
