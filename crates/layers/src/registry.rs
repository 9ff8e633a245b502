//! Everything that can be constructed by name: layers, initializers, functions, in Trax's order, module by module.
use crate::{
    framework::host::LayerKind,
    options::{Entry, OptionType},
    Error, Factory, HostValue, Initializer, LayerRef, Mode, Result,
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

fn find<T>(what: &str, table: &[&'static [Entry<T>]], kind: &str) -> Result<&'static Entry<T>> {
    table
        .iter()
        .flat_map(|t| t.iter())
        .find(|e| (e.meta)().kind == kind)
        .ok_or_else(|| Error::option(format!("there is no {what} named {kind}")))
}

/// A new layer of a registered kind.
///
/// # Errors
/// `InvalidOption` for an unknown kind or options outside their domain.
pub fn construct(kind: &str, options: impl Into<HostValue>) -> Result<LayerRef> {
    make(kind, &options.into())
}

fn make(kind: &str, options: &HostValue) -> Result<LayerRef> {
    let entry = find("layer", layers(), kind)?;
    let layer = (entry.build)(options).and_then(|layer| crate::framework::depth::check_depth(kind, layer))?;
    let given = options.get("mode").filter(|mode| !matches!(mode, HostValue::Null)).cloned();
    let default = || (entry.meta)().all().find(|f| f.name == "mode").and_then(|f| f.default.clone());
    let mode = given.or_else(|| default().map(|mode| HostValue::from(mode.trim_matches('\''))));
    if let Some(mode) = mode.as_ref().and_then(Mode::parse) {
        layer.base().made_in(mode);
    }
    Ok(layer)
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
    LayerKind { kind: kind.to_string(), options, make }
}

impl Factory {
    /// A registered kind with some options given.
    pub fn kind(kind: &str, options: impl Into<HostValue>) -> Self {
        Factory::Kind(layer_kind(kind, options.into()))
    }
}

/// A new initializer of a registered kind.
///
/// # Errors
/// `InvalidOption` for an unknown kind or options outside their domain.
pub fn initializer(kind: &str, options: impl Into<HostValue>) -> Result<Initializer> {
    (find("initializer", initializers(), kind)?.build)(&options.into())
}

/// The result of a registered function; that of one which returns several layers is a list.
///
/// # Errors
/// `InvalidOption` for an unknown name or arguments outside their domain; the function's own errors.
pub fn call_function(name: &str, arguments: impl Into<HostValue>) -> Result<HostValue> {
    let arguments = &arguments.into();
    find("function", functions(), name).map_or_else(
        |unknown| {
            let list = find("function", lists(), name).map_err(|_| unknown)?;
            Ok(HostValue::List((list.build)(arguments)?.into_iter().map(HostValue::Layer).collect()))
        },
        |function| (function.build)(arguments),
    )
}
