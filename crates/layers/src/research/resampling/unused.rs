//! Factories of resampling layers, and what they are handed beside what they use, so that all can be called alike.
use crate::{options, options::OptionType, Dim, Factory, HostValue, LayerArg, Mode, Positive, Rate, Wholes};

options! {
    /// What `AttentionResampling` takes beside what other ways of resampling do; to these it changes nothing.
    pub group ResamplingOptions {
        /// Changes nothing.
        is_upsampling "isUpsampling": Option<bool> = None,
        /// Changes nothing.
        d_ff "dFf": Option<Dim> = None,
        /// Changes nothing.
        n_heads "nHeads": Option<Dim> = None,
        /// Changes nothing.
        dropout_shared_axes "dropoutSharedAxes": Option<Wholes> = None,
        /// Changes nothing.
        ff_activation "ffActivation": Option<Factory> = None,
        /// Changes nothing.
        context_bias_layer "contextBiasLayer": Option<LayerArg> = None,
        /// Changes nothing.
        location_bias_layer "locationBiasLayer": Option<LayerArg> = None,
        /// Changes nothing.
        total_pooling "totalPooling": Option<Positive> = None,
        /// Changes nothing.
        resampling_fn "resamplingFn": Option<ResamplingFactory> = None,
    }
}

options! {
    /// What ways of resampling without weights are handed beside it.
    pub group WeightlessResamplingOptions {
        /// Changes nothing.
        dropout "dropout": Option<Rate> = None,
        /// Changes nothing.
        mode "mode": Option<Mode> = None,
    }
}

/// Further arguments by place, which change nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct FurtherArguments;

impl OptionType for FurtherArguments {
    const TS: &'static str = "ResamplingArgument[]";
    const EXPECTED: &'static str = "further arguments";
    fn parse(_: &HostValue) -> Option<Self> {
        Some(Self)
    }
    fn show(&self) -> String {
        "[]".into()
    }
}

/// Makes a layer that resamples, of a factor, a depth and `{mode}`.
#[derive(Debug, Clone)]
pub struct ResamplingFactory(pub Factory);

impl OptionType for ResamplingFactory {
    const TS: &'static str = "ResamplingFactory";
    const EXPECTED: &'static str = "a function from a factor, a depth and {mode} to a layer";
    fn parse(v: &HostValue) -> Option<Self> {
        Factory::parse(v).map(Self)
    }
    fn show(&self) -> String {
        self.0.show()
    }
}
