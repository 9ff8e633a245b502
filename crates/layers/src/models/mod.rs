//! Options of the models: their names, docs, defaults and domains.
//!
//! A model is a composition of layers that a user could have written, so it is written in TypeScript (`src/models`). What is
//! declared here is what it is made with, in the same way as the options of layers are, so that both are checked, documented
//! and refused alike. The composition asks for its options once and gets them all, checked: see [`Filled`].
mod blocks;
mod configurable;
mod groups;
mod hourglass;
mod makers;
mod mlp;
mod reformer;
mod transformer;
mod values;

pub use blocks::{DecoderBlockOptions, EncoderBlockOptions, EncoderDecoderBlockOptions};
pub use configurable::{
    ConfigurableTransformerEncoderOptions, ConfigurableTransformerLMOptions, ConfigurableTransformerOptions,
};
pub use groups::{
    BlockOptions, ConfigurableOptions, FeedForwardOptions, LossOptions, PositionOptions, PositionStartOptions,
    ReformerDecoderOptions, TransformerCommonOptions,
};
pub use hourglass::HourglassLMOptions;
pub use makers::{AttentionMaker, AttentionMakers, LayerMaker, ResamplingMaker, WayOfResampling};
pub use mlp::MLPOptions;
pub use reformer::{ReformerLMOptions, ReformerOptions, ReformerShortenLMOptions};
pub use transformer::{
    PackedTransformerLMOptions, TransformerDecoderOptions, TransformerEncoderOptions, TransformerLMOptions,
    TransformerOptions,
};
pub use values::{
    AttentionSparsity, Blocks, FeedForwardSparsity, FeedForwardSparsityType, Hierarchy, PositionType, Recurrent, Value,
    WholeMode, FILLED_TYPES,
};

use crate::{entry, options::Entry, HostValue, Result};

/// All options of a model by name, those left out filled in. A function that the caller gave is [`given`], as it stays
/// JavaScript's; the factory of a registered name is [`named`].
pub type Filled = Vec<(&'static str, HostValue)>;

/// The options of models and of the blocks that they are made of.
pub const MODELS: &[Entry<Filled>] = &[
    entry!("models", TransformerLMOptions, filled),
    entry!("models", PackedTransformerLMOptions, filled),
    entry!("models", TransformerEncoderOptions, filled),
    entry!("models", TransformerDecoderOptions, filled),
    entry!("models", TransformerOptions, filled),
    entry!("models", ReformerLMOptions, filled),
    entry!("models", ReformerShortenLMOptions, filled),
    entry!("models", ReformerOptions, filled),
    entry!("models", ConfigurableTransformerLMOptions, filled),
    entry!("models", ConfigurableTransformerEncoderOptions, filled),
    entry!("models", ConfigurableTransformerOptions, filled),
    entry!("models", HourglassLMOptions, filled),
    entry!("models", MLPOptions, filled),
    entry!("models.reformer", DecoderBlockOptions, filled),
    entry!("models.reformer", EncoderBlockOptions, filled),
    entry!("models.reformer", EncoderDecoderBlockOptions, filled),
];

/// Options of a model.
pub(crate) trait Model {
    /// All of them by name.
    fn values(&self) -> Filled;
    /// Refuses options that do not go together.
    ///
    /// # Errors
    /// `InvalidOption` naming the options.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn filled<M: Model>(options: M) -> Result<Filled> {
    options.check()?;
    Ok(options.values())
}

/// Stands for what the caller gave.
fn given() -> HostValue {
    HostValue::Record(vec![("given".into(), HostValue::Bool(true))])
}

/// Stands for the factory of a registered name.
fn named(kind: &str) -> HostValue {
    HostValue::Record(vec![("factory".into(), HostValue::Text(kind.into()))])
}

/// Declares the options of a model as [`options!`](crate::options!) does, and how all of them are handed to the composition.
macro_rules! model {
    ($(#[doc = $doc:literal])* pub struct $S:ident for $kind:literal ( $($pos:literal),* )
        $(with ( $($g:ident : $G:ty),* ))? {
        $( $(#[doc = $fd:literal])* $n:ident $j:literal : $t:ty $(= $d:expr)? ),* $(,)?
    } $(check $check:expr)?) => {
        $crate::options! {
            $(#[doc = $doc])*
            pub struct $S for $kind ( $($pos),* ) $(with ( $($g : $G),* ))? {
                $( $(#[doc = $fd])* $n $j : $t $(= $d)? ),*
            }
        }
        impl $crate::models::Model for $S {
            fn values(&self) -> $crate::models::Filled {
                #[allow(unused_mut, reason = "only models with groups add to it")]
                let mut all = vec![ $( ($j, $crate::models::values::Value::value(&self.$n)) ),* ];
                $($( all.extend($crate::models::Model::values(&self.$g)); )*)?
                all
            }
            $(fn check(&self) -> $crate::Result<()> {
                let check: fn(&Self) -> $crate::Result<()> = $check;
                check(self)
            })?
        }
    };
    ($(#[doc = $doc:literal])* pub group $S:ident {
        $( $(#[doc = $fd:literal])* $n:ident $j:literal : $t:ty $(= $d:expr)? ),* $(,)?
    }) => {
        $crate::options! {
            $(#[doc = $doc])*
            pub group $S { $( $(#[doc = $fd])* $n $j : $t $(= $d)? ),* }
        }
        impl $crate::models::Model for $S {
            fn values(&self) -> $crate::models::Filled {
                vec![ $( ($j, $crate::models::values::Value::value(&self.$n)) ),* ]
            }
        }
    };
}
use model;

#[cfg(test)]
mod tests {
    use crate::{
        core::dense,
        registry,
        testing::{json, References},
        HostValue,
    };
    use serde_json::Value;
    use std::collections::HashMap;

    fn filled(kind: &str, options: Value) -> HashMap<&'static str, String> {
        let all = registry::model_options(kind, &options).unwrap();
        all.into_iter().map(|(name, value)| (name, format!("{value:?}"))).collect()
    }
    fn refused(kind: &str, options: Value) -> String {
        let references = References { layers: vec![dense(2)], ..References::default() };
        registry::model_options(kind, references.resolve(&options)).unwrap_err().to_string()
    }

    #[test]
    fn all_options_are_there_and_null_is_the_default() {
        let o = filled("TransformerLM", json!({"vocabSize": 10, "dModel": null, "nHeads": 4, "ffActivation": null}));
        let shown = |v: HostValue| format!("{v:?}");
        assert_eq!(o["vocabSize"], shown(HostValue::Number(10.0)));
        assert_eq!(o["dModel"], shown(HostValue::Number(512.0)));
        assert_eq!(o["nHeads"], shown(HostValue::Number(4.0)));
        assert_eq!(o["mode"], shown(HostValue::Text("train".into())));
        assert_eq!(o["ffActivation"], shown(super::named("Relu")));
        assert_eq!(o.len(), 10);
        // Where null means something of its own it stays.
        let o = filled("ConfigurableTransformerLM", json!({"vocabSize": 10, "ffDropout": null}));
        assert_eq!((&o["ffDropout"], &o["posType"]), (&shown(HostValue::Null), &shown(HostValue::Null)));
        assert_eq!(filled("ConfigurableTransformerLM", json!({"vocabSize": 10}))["ffDropout"], "Number(0.1)");
        let o = filled("ReformerLM", json!({"vocabSize": 10, "ffActivation": {"$factory": "Relu"}}));
        assert_eq!(o["ffActivation"], shown(super::given()));
    }

    #[test]
    fn what_does_not_fit_is_refused_in_the_words_of_layers() {
        let unknown = refused("TransformerLM", json!({"vocabSize": 10, "dmodel": 8}));
        assert!(unknown.starts_with("TransformerLM: unknown option `dmodel`: it takes `vocabSize`, "), "{unknown}");
        assert!(unknown.ends_with("; did you mean `dModel`?"), "{unknown}");
        for (kind, options, says) in [
            ("TransformerLM", json!({}), "TransformerLM: `vocabSize` is required and must be a whole number of at least 1"),
            (
                "TransformerLM",
                json!({"vocabSize": 10, "dModel": 9, "nHeads": 2}),
                "TransformerLM: `dModel` must be a multiple of `nHeads`, as all heads are equally deep: got 9 for 2 heads",
            ),
            ("TransformerLM", json!({"vocabSize": 9, "nLayers": 4_294_967_296u64}), "TransformerLM: `nLayers` must be at most 10000 layers, got 4294967296"),
            ("ReformerLM", json!({"vocabSize": 9, "ffUseSru": 10_001}), "ReformerLM: `ffUseSru` must be at most 10000 layers, got 10001"),
            ("ReformerLM", json!({"vocabSize": 9, "ffUseSru": [10_001, 4]}), "ReformerLM: `ffUseSru` must be at most 10000 layers, got 10001"),
            ("HourglassLM", json!({"vocabSize": 9, "hierarchy": "10001@2"}), "HourglassLM: `hierarchy` must have at most 10000 blocks in each level, got \"10001@2\""),
            ("MLP", json!({"activationFn": {"$layer": 0}}), "MLP: `activationFn` must be a layer factory, such as tl.Relu, got a layer"),
            ("HourglassLM", json!({"vocabSize": 9, "hierarchy": "2@3 1@3 2@3"}), "HourglassLM: `hierarchy` must have more tokens in each level, and a multiple of those in the one around it, got \"2@3 1@3 2@3\""),
            ("HourglassLM", json!({"vocabSize": 9, "mode": "predict"}), "HourglassLM: `mode` cannot be 'predict', as several positions are computed as one"),
            ("ReformerLM", json!({"vocabSize": 9, "ffSparsity": "4 2 1"}), "ReformerLM: `ffSparsity` must be a number or a list of 2 or 4 numbers, got \"4 2 1\""),
        ] {
            assert_eq!(refused(kind, options), says);
        }
    }
}
