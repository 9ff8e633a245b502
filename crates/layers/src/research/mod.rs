//! Layers of Trax's `research` folder, module by module.
pub mod position_encodings;
pub mod sparsity;
