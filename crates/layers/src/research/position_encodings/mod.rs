//! Position encodings beyond the trainable table of [`attention`](crate::attention): axial, fixed, digit-wise, unbounded.
mod axial;
mod fixed_base;
mod infinite;
mod noise;
mod sin_cos;
mod threefry;
mod time_bin;

use crate::{entry, options::Entry, Error, HostValue, LayerRef, Result, TensorSpec, Tree};
pub use axial::AxialPositionalEncodingOptions;
pub use fixed_base::FixedBasePositionalEncodingOptions;
pub use infinite::{InfinitePositionalEncodingOptions, Transform};
pub use sin_cos::SinCosPositionalEncodingOptions;
use tallow_tensor::{memory, DType, Tensor};
pub use threefry::{threefry_2x32_prange, threefry_2x32_prf, ThreefryPrangeOptions, ThreefryPrfOptions};
pub use time_bin::TimeBinPositionalEncodingOptions;

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("research.position_encodings", AxialPositionalEncodingOptions, axial::build),
    entry!("research.position_encodings", SinCosPositionalEncodingOptions, sin_cos::build),
    entry!("research.position_encodings", FixedBasePositionalEncodingOptions, fixed_base::build),
    entry!("research.position_encodings", InfinitePositionalEncodingOptions, infinite::build),
    entry!("research.position_encodings", TimeBinPositionalEncodingOptions, time_bin::build),
];

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("research.position_encodings", ThreefryPrfOptions, |o: ThreefryPrfOptions| {
        threefry_2x32_prf(o.key.0, &o.x.0).map(HostValue::Tensor)
    }),
    entry!("research.position_encodings", ThreefryPrangeOptions, |o: ThreefryPrangeOptions| {
        threefry_2x32_prange(o.key.0, o.lo.0, o.hi.0).map(HostValue::Tensor)
    }),
];

/// The signature of `(batch, length, features)` with float32 positions added.
fn positioned(x: &TensorSpec) -> Result<Vec<TensorSpec>> {
    if x.rank() != 3 {
        return Err(Error::shape(format!("expected (batch, length, features), got {x}")));
    }
    Ok(vec![TensorSpec::new(x.shape.clone(), x.dtype.promote(DType::F32))])
}

/// Index of the next position, in the state of predict.
fn next_position(state: &Tree<Tensor>) -> Result<usize> {
    Ok(state.one()?.item()? as usize)
}

/// The state of predict whose next position is `position`.
fn at_position(position: usize) -> Tree<Tensor> {
    Tree::Leaf(Tensor::scalar(position as i32))
}

/// Indices of the next positions, one for each sequence, in the state of predict. Before the first position any number of sequences fits.
fn next_positions(state: &Tensor, batch: usize) -> Result<Vec<i64>> {
    let index = state.to_f64_vec()?;
    if index.len() != batch {
        let begun = index.iter().any(|&i| i > 0.0);
        return if begun { Err(Error::other_batch(batch, index.len())) } else { Ok(memory::full(batch, 0)?) };
    }
    Ok(index.into_iter().map(|i| i as i64).collect())
}

/// The state of predict `length` positions behind those of `starts`.
fn moved_on(starts: &[i64], length: usize) -> Result<Tensor> {
    Ok(Tensor::from_vec(starts.iter().map(|&s| s as i32 + length as i32).collect(), &[starts.len()])?)
}

/// Three features of position `t` among bins of `length` positions: one over the bin's number from 1, the place in the bin
/// as a share of it, and whether the bin's number from 0 is odd.
fn bin_features(t: i64, length: i64) -> [f32; 3] {
    let (bin, place) = (t.div_euclid(length), t.rem_euclid(length));
    [1.0 / (1 + bin) as f32, place as f32 / length as f32, (bin % 2) as f32]
}
