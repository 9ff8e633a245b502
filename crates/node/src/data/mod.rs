//! Data: the options of the steps of a pipeline, encoders of text.
mod encoder;
mod steps;
