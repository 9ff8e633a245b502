//! Initializers: functions from shape and key to a tensor.
mod file;
mod orthogonal;
mod random;
mod scaled;

pub use file::from_file;
pub(crate) use orthogonal::householder;
pub use orthogonal::orthogonal;
pub use random::{atari_conv, random_normal, random_uniform};
pub use scaled::{
    glorot_normal, glorot_uniform, kaiming_normal, kaiming_uniform, lecun_normal, lecun_uniform, scaled, Distribution,
    FanMode,
};
use {file::*, orthogonal::*, random::*, scaled::*};

pub use crate::framework::initializer::{Initialize, Initializer};
use crate::{entry, options::Entry, HostValue};

/// The initializers of this module.
pub const INITIALIZERS: &[Entry<Initializer>] = &[
    entry!("initializers", InitializerFromFileOptions, |o: InitializerFromFileOptions| Ok(from_file(o.path))),
    entry!("initializers", RandomNormalOptions, |o: RandomNormalOptions| Ok(random_normal(o.stddev.0))),
    entry!("initializers", RandomUniformOptions, |o: RandomUniformOptions| Ok(random_uniform(o.lim.0))),
    entry!("initializers", ScaledOptions, |o: ScaledOptions| {
        Ok(scaled(o.out_dim.0, o.in_dim.0, o.scale.0, o.mode, o.distribution))
    }),
    entry!("initializers", GlorotNormalOptions, |o: GlorotNormalOptions| {
        Ok(named("GlorotNormalInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanAvg, Distribution::Normal))
    }),
    entry!("initializers", GlorotUniformOptions, |o: GlorotUniformOptions| {
        Ok(named("GlorotUniformInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanAvg, Distribution::Uniform))
    }),
    entry!("initializers", LeCunNormalOptions, |o: LeCunNormalOptions| {
        Ok(named("LeCunNormalInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanIn, Distribution::Normal))
    }),
    entry!("initializers", LeCunUniformOptions, |o: LeCunUniformOptions| {
        Ok(named("LeCunUniformInitializer", o.out_dim, o.in_dim, o.scale.0, FanMode::FanIn, Distribution::Uniform))
    }),
    entry!("initializers", KaimingNormalOptions, |o: KaimingNormalOptions| {
        Ok(kaiming("KaimingNormalInitializer", o.out_dim, o.in_dim, o.param.0, Distribution::Normal))
    }),
    entry!("initializers", KaimingUniformOptions, |o: KaimingUniformOptions| {
        Ok(kaiming("KaimingUniformInitializer", o.out_dim, o.in_dim, o.param.0, Distribution::Uniform))
    }),
    entry!("initializers", OrthogonalOptions, |o: OrthogonalOptions| Ok(orthogonal(o.stddev.0))),
];

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] =
    &[entry!("initializers", AtariConvInitOptions, |o: AtariConvInitOptions| {
        atari_conv(&o.kernel_shape.0, o.rng.0, o.dtype).map(HostValue::Tensor)
    })];
