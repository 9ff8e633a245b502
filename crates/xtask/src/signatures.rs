//! The signatures of factories: what the arity of a kind, and the types of its parameters, say of what it returns.
use crate::items::{Item, Makes};
use tallow_layers::arity::{self, Declared};

/// One signature of a factory. What is not said is as the declaration of the options has it.
#[derive(Debug, Default)]
pub struct Signature {
    /// Type parameters, with their brackets.
    pub generics: &'static str,
    /// Types of parameters in place of those declared.
    pub params: &'static [(&'static str, &'static str)],
    /// What it takes behind the parameters.
    pub options: Options,
    /// Return type.
    pub returns: String,
}

/// What a signature takes behind the parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Options {
    /// Options as declared.
    #[default]
    Declared,
    /// None at all.
    None,
    /// Some, which must be given.
    Given,
    /// Those declared, but not these, which may be `false` at most.
    Without(&'static [&'static str]),
}

/// A layer of known arity, as a type.
fn layer(n_in: &str, n_out: usize) -> String {
    match n_out {
        1 => format!("Layer<Tensor, {n_in}>"),
        n => format!("Layer<[{}], {n_in}>", vec!["Tensor"; n].join(", ")),
    }
}

/// A kind whose arity follows from its arguments: how the facade's types tell it (`src/layer/arity.ts`).
fn of_arguments(kind: &str) -> Option<Vec<Signature>> {
    let one = |generics, params, returns: &str| Signature {
        generics,
        params,
        returns: returns.into(),
        ..Signature::default()
    };
    let parts = |returns: &str, with_options: Option<&str>| {
        let mut all = vec![Signature { options: Options::None, ..one(PARTS, &[("...", "L")], returns) }];
        if let Some(returns) = with_options {
            all.push(Signature { options: Options::Given, ..one(PARTS, &[("...", "L")], returns) });
        }
        all
    };
    Some(match kind {
        "Serial" => parts("SerialOf<L>", Some("SerialOf<L>")),
        "ReversibleSerial" => parts("SerialOf<L>", None),
        "Parallel" => parts("ParallelOf<L>", Some("ParallelOf<L>")),
        "Branch" => parts("BranchOf<L>", Some("BranchOf<L>")),
        "Residual" => parts("ResidualOf<L>", Some("Layer")),
        "Accelerate" | "BatchLeadingAxes" | "Cache" | "Chunk" | "WholeSequences" => {
            vec![one("<L extends Layer>", &[("layer", "L")], "AsLayer<L>")]
        }
        "Bidirectional" => vec![
            Signature {
                options: Options::Without(&["mergeLayers"]),
                ..one("", &[("forwardLayer", "Layer<Tensor, 1>")], "Layer<Tensor, 1>")
            },
            one("", &[], "Layer"),
        ],
        "Select" => vec![
            Signature { options: Options::None, ..one(INDICES, &[("indices", "I")], "SelectOf<I>") },
            Signature { options: Options::Given, ..one(INDICES, &[("indices", "I")], "Layer<Outputs<I['length']>>") },
        ],
        "Fn" => vec![one(
            "<F extends TensorFunction>",
            &[("f", "F")],
            "Layer<OutputsOf<ReturnType<F>>, InputsOf<Parameters<F>>>",
        )],
        _ => return None,
    })
}

const PARTS: &str = "<const L extends readonly LayerNest[]>";
const INDICES: &str = "<const I extends readonly number[]>";

/// A function that returns more or other than one tensor.
fn of_function(name: &str) -> Option<Signature> {
    let plain = |returns: &str| Signature { returns: returns.into(), ..Signature::default() };
    Some(match name {
        "attend" => plain("[outputs: Tensor, logSumExps: Tensor]"),
        "calcFunnelRatio" => plain("[funnelFactor: number, isUpsampling: boolean]"),
        "DotProductAttention" => plain("[activations: Tensor, strengths: Tensor]"),
        "flattenWeightsAndState" => plain("[flatWeights: Tensor[], flatState: Tensor[]]"),
        "hashVecs" => plain("[buckets: Tensor, nBuckets: number]"),
        "inputsFromStack" | "outputsOntoStack" => plain("LayerOutputs"),
        "toList" => plain("Nested"),
        "unflattenWeightsAndState" => plain("[weights: Nest, state: Nest]"),
        // Tensors come back arranged as they were given.
        "forNDevices" | "onAccelerator" | "onCpu" | "reshapeByDevice" => {
            Signature { generics: "<X extends TensorTree>", params: &[("x", "X")], ..plain("X") }
        }
        "shard" | "unshard" => {
            Signature { generics: "<X extends TensorTree>", params: &[("tensors", "X")], ..plain("X") }
        }
        _ => return None,
    })
}

/// All signatures of a factory, the narrowest first.
pub fn of(item: &Item) -> Vec<Signature> {
    let kind = item.meta.kind;
    let plain = |returns: String| Signature { returns, ..Signature::default() };
    match item.makes {
        Makes::Layer => of_arguments(kind).unwrap_or_else(|| match arity::declared(kind) {
            Declared::Always(a) => vec![plain(layer(&a.n_in.to_string(), a.n_out))],
            Declared::Unless(options, a) => {
                let without = |options, returns| Signature { options: Options::Without(options), ..plain(returns) };
                let mut all = vec![without(options, layer(&a.n_in.to_string(), a.n_out))];
                if let ["masked", others @ ..] = options {
                    // A mask is one more input; the outputs stay.
                    all.extend((!others.is_empty()).then(|| without(others, layer("number", a.n_out))));
                }
                all.push(plain(open(kind)));
                all
            }
            Declared::GivesUnless(options, n_out) => vec![
                Signature { options: Options::Without(options), ..plain(layer("number", n_out)) },
                plain("Layer".into()),
            ],
            Declared::Open => vec![plain("Layer".into())],
        }),
        Makes::Result => vec![of_function(kind).unwrap_or_else(|| plain("Tensor".into()))],
        Makes::Layers | Makes::Initializer | Makes::Optimizer | Makes::Schedule => {
            vec![plain(item.makes.words().0.into())]
        }
    }
}

/// What is left to say of a kind where options that change its arity are given.
fn open(kind: &str) -> String {
    if kind == "Concatenate" {
        layer("number", 1)
    } else {
        "Layer".into()
    }
}
