//! Training: optimizers, learning-rate schedules, the training step and loop, checkpoints.
//!
//! Knows layers only through [`tallow_layers::Layer`]; knows nothing of the host language.
mod averages;
mod beginning;
mod budget;
mod checkpoint;
mod checkpoint_info;
mod event_file;
mod file_info;
mod finite;
mod fit;
mod fitting;
mod gathering;
mod groups;
mod layer_file;
mod lending;
mod loop_options;
mod lora;
mod names;
mod npy_list;
mod npz;
mod policy;
mod progress;
mod quantized_file;
mod safetensors_file;
mod shards;
mod trainer;
mod trainer_file;
mod trax_file;
mod whole_file;

pub mod communicator;
pub mod optimizers;
pub mod schedules;
pub mod seeing;

pub use checkpoint::{load_layer, save_layer, Checkpoint};
pub use checkpoint_info::{checkpoint_info, verify_checkpoint, CheckpointInfo};
pub use event_file::{read as read_events, EventFile, Histogram, Recorded, Value};
pub use file_info::{file_format, file_info, load_tensors, FileFormat, FileInfo};
pub use fit::{
    fit, fit_with, Batches, Between, FitOptions, FitReport, LoopOptions, SaveOptions, StepOptions, TrainerLoadOptions,
};
pub use fitting::{LoadReport, Mismatch};
pub use groups::{WeightGroup, WeightGroups};
pub use layer_file::{init_from_file, save_to_file, LoadOptions};
pub use loop_options::loop_options;
pub use lora::{load_lora, save_lora, with_lora, WithLoraOptions};
pub use names::{matching, named_leaves, weight_names};
pub use npy_list::{np_from_file, np_to_file};
pub use npz::{load_npz, save_npz};
pub use policy::{LossScale, Policy};
pub use progress::{Progress, StepReport};
pub use safetensors_file::{
    read as read_safetensors, read_named as read_named_safetensors, write as write_safetensors,
    Contents as SafetensorsContents, TensorInfo,
};
pub use shards::{Ranks, Transport};
pub use tallow_layers::{Error, Result};
pub use trainer::{Trainer, TrainerOptions};
pub use whole_file::write as write_whole_file;
