//! The mask that keeps the sequences of a packed row apart.
use crate::bridge::{
    args::{Arg, Handle},
    environment::run,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_layers::attention::mask_of_segments;

/// [`mask_of_segments`], as the layer `SegmentMask` computes it.
#[napi]
pub fn segment_mask(env: Env, segments: Handle, causal: Arg<bool>) -> Result<f64> {
    run(&env, |e| {
        let causal = causal.named("segmentMask: causal")?;
        Ok(e.insert(&env, mask_of_segments(&e.tensor(segments.0)?, causal)?))
    })
}
