//! Layers of Trax's `research` folder, module by module.
pub mod sparsity;
