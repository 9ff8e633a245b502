//! The tests of the crate, one module for each subject.
mod communicator;
mod damage;
mod file_info;
mod groups;
mod npz;
mod optimizers;
mod safetensors_file;
mod schedules;
mod seeing;
mod shards;
mod torch_optimizers;
mod trainer;
