//! Everything that can be constructed by name: layers, initializers, functions, in Trax's order, module by module.
use crate::{
    framework::{host::LayerKind, shared::note_host_functions},
    options::{Entry, OptionType},
    Error, HostValue, Initializer, LayerId, LayerRef, Mode, Result,
};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

static LAYERS: &[&[Entry<LayerRef>]] = &[
    crate::acceleration::LAYERS,
    crate::activation_fns::LAYERS,
    crate::attention::LAYERS,
    crate::base::LAYERS,
    crate::combinators::LAYERS,
    crate::convolution::LAYERS,
    crate::core::LAYERS,
    crate::deconvolution::LAYERS,
    crate::metrics::LAYERS,
    crate::normalization::LAYERS,
    crate::rnn::LAYERS,
    crate::pooling::LAYERS,
    crate::research::sparsity::LAYERS,
    crate::assert_shape::LAYERS,
    crate::research::efficient_attention::LAYERS,
    crate::research::rotary_positional_embedding::LAYERS,
    crate::research::position_encodings::LAYERS,
    crate::research::rel_attention::LAYERS,
    crate::research::resampling::LAYERS,
    crate::reversible::LAYERS,
];
static INITIALIZERS: &[&[Entry<Initializer>]] = &[crate::initializers::INITIALIZERS];
static FUNCTIONS: &[&[Entry<HostValue>]] = &[
    crate::acceleration::FUNCTIONS,
    crate::base::FUNCTIONS,
    crate::base::sharding::FUNCTIONS,
    crate::combinators::FUNCTIONS,
    crate::core::FUNCTIONS,
    crate::initializers::FUNCTIONS,
    crate::research::efficient_attention::FUNCTIONS,
    crate::research::rotary_positional_embedding::FUNCTIONS,
    crate::research::position_encodings::FUNCTIONS,
    crate::research::rel_attention::FUNCTIONS,
];
static LISTS: &[&[Entry<Vec<LayerRef>>]] = &[crate::research::rel_attention::LISTS, crate::research::resampling::LISTS];
static MODELS: &[&[Entry<crate::models::Filled>]] = &[crate::models::MODELS];

/// All layers.
pub fn layers() -> &'static [&'static [Entry<LayerRef>]] {
    LAYERS
}

/// All initializers.
pub fn initializers() -> &'static [&'static [Entry<Initializer>]] {
    INITIALIZERS
}

/// All functions on tensors that belong to a layer module.
pub fn functions() -> &'static [&'static [Entry<HostValue>]] {
    FUNCTIONS
}

/// All functions that return several layers.
pub fn lists() -> &'static [&'static [Entry<Vec<LayerRef>>]] {
    LISTS
}

/// The options of all models.
pub fn models() -> &'static [&'static [Entry<crate::models::Filled>]] {
    MODELS
}

/// What is registered under a name, with the mode that it is in by default, if it has one.
type Named<T> = HashMap<&'static str, (&'static Entry<T>, Option<Mode>)>;

/// The entry of a name. The names are gathered once.
fn find<T>(
    what: &str,
    names: &'static OnceLock<Named<T>>,
    table: &[&'static [Entry<T>]],
    kind: &str,
) -> Result<(&'static Entry<T>, Option<Mode>)> {
    let named = |entry: &'static Entry<T>| {
        let meta = (entry.meta)();
        let default = meta.all().find(|f| f.name == "mode").and_then(|f| f.default.clone());
        let mode = default.and_then(|mode| Mode::parse(&HostValue::from(mode.trim_matches('\''))));
        (meta.kind, (entry, mode))
    };
    let names = names.get_or_init(|| table.iter().flat_map(|t| t.iter()).map(named).collect());
    names.get(kind).copied().ok_or_else(|| Error::option(format!("there is no {what} named {kind}")))
}

static LAYER_NAMES: OnceLock<Named<LayerRef>> = OnceLock::new();
static INITIALIZER_NAMES: OnceLock<Named<Initializer>> = OnceLock::new();
static FUNCTION_NAMES: OnceLock<Named<HostValue>> = OnceLock::new();
static LIST_NAMES: OnceLock<Named<Vec<LayerRef>>> = OnceLock::new();
static MODEL_NAMES: OnceLock<Named<crate::models::Filled>> = OnceLock::new();

/// A new layer of a registered kind.
///
/// # Errors
/// `InvalidOption` for an unknown kind or options outside their domain.
pub fn construct(kind: &str, options: impl Into<HostValue>) -> Result<LayerRef> {
    make(kind, &options.into())
}

fn make(kind: &str, options: &HostValue) -> Result<LayerRef> {
    let (entry, default) = find("layer", &LAYER_NAMES, layers(), kind)?;
    let [layer] = noting_host_functions(options, || {
        let layer = (entry.build)(options)?;
        Ok([crate::framework::depth::check_depth(kind, layer)?])
    })?;
    let given = options.get("mode").filter(|mode| !matches!(mode, HostValue::Null));
    if let Some(mode) = given.map_or(default, Mode::parse) {
        layer.base().made_in(mode);
    }
    Ok(layer)
}

/// Makes layers of options, and notes in those made whether functions of the host are among these.
fn noting_host_functions<T: AsRef<[LayerRef]>>(options: &HostValue, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let first = LayerId::next();
    let layers = make()?;
    if options.has_functions() {
        layers.as_ref().iter().for_each(|layer| note_host_functions(layer, first));
    }
    Ok(layers)
}

/// A kind of layer with some options given, which are looked at when a layer is made of it.
pub fn kind(kind: &str, options: impl Into<HostValue>) -> HostValue {
    HostValue::Kind(layer_kind(kind, options.into()))
}

fn layer_kind(kind: &str, options: HostValue) -> LayerKind {
    let options = match options {
        HostValue::Record(options) => options,
        _ => Vec::new(),
    };
    let name = kind.to_string();
    LayerKind { kind: kind.to_string(), options, make: Arc::new(move |options| make(&name, options)) }
}

/// A new initializer of a registered kind.
///
/// # Errors
/// `InvalidOption` for an unknown kind or options outside their domain.
pub fn initializer(kind: &str, options: impl Into<HostValue>) -> Result<Initializer> {
    (find("initializer", &INITIALIZER_NAMES, initializers(), kind)?.0.build)(&options.into())
}

/// All options of a model, checked, with those filled in that were left out.
///
/// # Errors
/// `InvalidOption` for an unknown model, options outside their domain, or options that do not go together.
pub fn model_options(model: &str, options: impl Into<HostValue>) -> Result<crate::models::Filled> {
    (find("model", &MODEL_NAMES, models(), model)?.0.build)(&options.into())
}

/// The result of a registered function; that of one which returns several layers is a list.
///
/// # Errors
/// `InvalidOption` for an unknown name or arguments outside their domain; the function's own errors.
pub fn call_function(name: &str, arguments: impl Into<HostValue>) -> Result<HostValue> {
    let arguments = &arguments.into();
    find("function", &FUNCTION_NAMES, functions(), name).map_or_else(
        |unknown| {
            let list = find("function", &LIST_NAMES, lists(), name).map_err(|_| unknown)?.0;
            let layers = noting_host_functions(arguments, || (list.build)(arguments))?;
            Ok(HostValue::List(layers.into_iter().map(HostValue::Layer).collect()))
        },
        |(function, _)| (function.build)(arguments),
    )
}
