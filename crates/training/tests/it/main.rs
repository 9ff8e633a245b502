//! The tests of the crate, one module for each subject.
mod groups;
mod optimizers;
mod safetensors_file;
mod schedules;
mod torch_optimizers;
mod trainer;
