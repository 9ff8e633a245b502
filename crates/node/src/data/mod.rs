//! Data: the options of the steps of a pipeline, encoders of text, the mask of packed rows.
mod encoder;
mod segments;
mod steps;

pub(crate) use encoder::NativeEncoder;
