//! Everything with a name: what is registered, by module, and whether its docs have the form that they must have.
use crate::docs::{Doc, Head, Page};
use tallow_layers::{options::Meta, registry};

/// Layers that are classes of the facade, which brings them itself.
const CLASSES: &[&str] = &["Layer", "PureLayer", "EfficientAttentionBase"];

/// Modules in order: what they hold, in words, and their file in Trax.
const MODULES: &[(&str, &str, &str)] = &[
    ("acceleration", "Running a layer on several devices", "layers/acceleration.py"),
    ("activation_fns", "Activation functions", "layers/activation_fns.py"),
    (
        "attention",
        "Attention: multi-head attention, causal and not, masks and positional encoding",
        "layers/attention.py",
    ),
    ("base", "What all layers are built on: layers from functions, classes, weights on devices", "layers/base.py"),
    (
        "combinators",
        "Combinators: layers made of layers, and layers that reorder the data stack",
        "layers/combinators.py",
    ),
    ("convolution", "Convolutions", "layers/convolution.py"),
    ("core", "Core layers: dense layers, embeddings, dropout, reductions over axes", "layers/core.py"),
    ("deconvolution", "Transposed convolutions", "layers/deconvolution.py"),
    ("metrics", "Losses and metrics", "layers/metrics.py"),
    ("normalization", "Normalization of activations", "layers/normalization.py"),
    ("rnn", "Recurrent layers", "layers/rnn.py"),
    ("pooling", "Pooling over windows", "layers/pooling.py"),
    (
        "sparsity",
        "Sparse layers: layers that compute or hold a part of what a dense one does",
        "layers/research/sparsity.py",
    ),
    ("assert_shape", "Checks of shapes", "layers/assert_shape.py"),
    (
        "research.efficient_attention",
        "Memory-efficient attention: attention to whole sequences in little memory, by chunks or by hashing (LSH)",
        "layers/research/efficient_attention.py",
    ),
    (
        "research.rotary_positional_embedding",
        "Rotary positional embedding",
        "layers/research/rotary_positional_embedding.py",
    ),
    (
        "research.position_encodings",
        "Position encodings that were tried in research",
        "layers/research/position_encodings.py",
    ),
    ("research.rel_attention", "Attention with relative positions", "layers/research/rel_attention.py"),
    ("research.resampling", "Shortening and lengthening of sequences", "layers/research/resampling.py"),
    (
        "reversible",
        "Reversible layers: stacks whose activations are computed again for the backward pass, and not kept",
        "layers/reversible.py",
    ),
    ("initializers", "Initializers of weights", "layers/initializers.py"),
    ("optimizers", "Optimizers", "optimizers"),
    ("lr_schedules", "Learning-rate schedules", "supervised/lr_schedules.py"),
];

/// What a registered name makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Makes {
    Layer,
    Layers,
    Initializer,
    Result,
    Optimizer,
    Schedule,
}

impl Makes {
    /// Return type and the call that makes it.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Makes::Layer => ("Layer", "makeLayer"),
            Makes::Layers => ("Layer[]", "makeLayers"),
            Makes::Initializer => ("KernelInitializer", "makeInitializer"),
            Makes::Result => ("Tensor", "callFunction"),
            Makes::Optimizer => ("Optimizer", "makeOptimizer"),
            Makes::Schedule => ("Schedule", "makeSchedule"),
        }
    }

    /// The blocks that its docs must have.
    fn blocks(self) -> &'static [Head] {
        use Head::{Errors, Example, Formula, Modes, Shapes, Source, State, Weights};
        match self {
            Makes::Layer | Makes::Layers => &[Shapes, Weights, State, Modes, Errors, Source, Example],
            Makes::Initializer | Makes::Schedule => &[Formula, Errors, Source, Example],
            Makes::Result => &[Shapes, Errors, Source, Example],
            Makes::Optimizer => &[Formula, State, Errors, Source, Example],
        }
    }
}

/// One registered name.
pub struct Item {
    pub module: &'static str,
    pub meta: Meta,
    pub makes: Makes,
}

impl Item {
    /// Whether it is documented: a name that begins with an underscore is for the facade alone.
    pub fn is_documented(&self) -> bool {
        !self.meta.kind.starts_with('_')
    }

    /// Whether it gets a factory: what exists only as a class of the facade does not.
    pub fn is_public(&self) -> bool {
        self.is_documented() && !CLASSES.contains(&self.meta.kind)
    }

    /// What its docs are written for; parameters are the caller's.
    pub fn page<'a>(&self, trax: &'a str) -> Page<'a> {
        Page { params: Vec::new(), thrown: "LayerError", trax }
    }
}

/// Everything registered: layers, initializers, functions, lists of layers, optimizers, schedules.
pub fn items() -> Vec<Item> {
    let mut out = Vec::new();
    let mut add = |module, meta, makes| out.push(Item { module, meta, makes });
    for e in registry::layers().iter().flat_map(|t| t.iter()) {
        add(e.module, (e.meta)(), Makes::Layer);
    }
    for e in registry::initializers().iter().flat_map(|t| t.iter()) {
        add(e.module, (e.meta)(), Makes::Initializer);
    }
    for e in registry::functions().iter().flat_map(|t| t.iter()) {
        add(e.module, (e.meta)(), Makes::Result);
    }
    for e in registry::lists().iter().flat_map(|t| t.iter()) {
        add(e.module, (e.meta)(), Makes::Layers);
    }
    for e in tallow_training::optimizers::OPTIMIZERS {
        add("optimizers", (e.meta)(), Makes::Optimizer);
    }
    for e in tallow_training::schedules::SCHEDULES {
        add("lr_schedules", (e.meta)(), Makes::Schedule);
    }
    out
}

/// What a module holds, in words.
pub fn title(module: &str) -> &'static str {
    MODULES.iter().find(|m| m.0 == module).map_or("", |m| m.1)
}

/// Trax's own file of a module, as a link.
pub fn trax(module: &str) -> String {
    let file = MODULES.iter().find(|m| m.0 == module).map_or("", |m| m.2);
    let name = file.trim_end_matches(".py").replace('/', ".");
    format!("[`trax.{name}`](https://github.com/google/trax/blob/master/trax/{file})")
}

/// What is wrong with the docs of all items, a line each.
pub fn faults(items: &[Item]) -> Vec<String> {
    let mut refused = Vec::new();
    for item in items.iter().filter(|i| i.is_documented()) {
        if title(item.module).is_empty() {
            refused.push(format!("module {} has no line in MODULES of crates/xtask/src/items.rs", item.module));
        }
        let faults = Doc::parse(item.meta.doc).faults(item.makes.blocks());
        refused.extend(faults.iter().map(|f| format!("docs of {} ({}): {f}", item.meta.kind, item.module)));
    }
    refused
}
