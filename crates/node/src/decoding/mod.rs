//! Decoding on the compute thread, a few steps to a job, so that all else has its turn in between.
mod beams;
mod decoder;
mod samples;
mod slice;
