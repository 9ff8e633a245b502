//! Position encodings beyond the trainable table of [`attention`](crate::attention): axial, fixed, digit-wise, unbounded.
mod axial;
mod fixed_base;
mod infinite;
mod noise;
mod positions;
mod sin_cos;
mod threefry;
mod time_bin;

use crate::{entry, options::Entry, HostValue, LayerRef};
pub use axial::AxialPositionalEncodingOptions;
pub use fixed_base::FixedBasePositionalEncodingOptions;
pub use infinite::{InfinitePositionalEncodingOptions, Transform};
pub use sin_cos::SinCosPositionalEncodingOptions;
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
