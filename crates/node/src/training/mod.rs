//! Training: trainers, the queue of batches, files of trainers and layers.
mod desk;
mod files;
mod lora;
mod queue;
mod ranks;
mod trainer;
