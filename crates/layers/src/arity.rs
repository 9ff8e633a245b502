//! How many tensors layers of each kind take and give, as far as the kind alone says it: what the types of the facade are made from.
//!
//! The tests of Trax's own cases hold every layer that they make to it.
use crate::Arity;

/// What the kind of a layer says of its arity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// The same for all layers of the kind.
    Always(Arity),
    /// The arity while none of these options are given, or given as `false`.
    Unless(&'static [&'static str], Arity),
    /// As many outputs while none of these options are given, or given as `false`; inputs by others.
    GivesUnless(&'static [&'static str], usize),
    /// By what it is made of.
    Open,
}

impl Declared {
    /// Whether a layer of the kind may have an arity; `given` tells whether an option has a value other than `false`.
    #[must_use]
    pub fn allows(self, arity: Arity, given: impl Fn(&str) -> bool) -> bool {
        match self {
            Declared::Always(always) => arity == always,
            Declared::Unless(options, otherwise) => arity == otherwise || options.iter().any(|o| given(o)),
            Declared::GivesUnless(options, n_out) => arity.n_out == n_out || options.iter().any(|o| given(o)),
            Declared::Open => true,
        }
    }
}

/// Kinds of another arity than one input and one output.
const OTHER: &[(&[&str], Declared)] = &[
    (&["RandomUniform", "Weights"], always(0, 1)),
    (&["Drop"], always(1, 0)),
    (&["Dup"], always(1, 2)),
    (
        &[
            "Add",
            "BinaryCrossEntropy",
            "CategoryAccuracy",
            "CategoryCrossEntropy",
            "EncoderDecoderMask",
            "LinearCrossEntropy",
            "MacroAveragedFScore",
            "MaskedMean",
            "MeanAbsoluteError",
            "MeanSquaredError",
            "Multiply",
            "PositionalEmbeddings",
            "SubtractTop",
            "WeightedFScore",
            "WeightedSum",
        ],
        always(2, 1),
    ),
    (
        &["Attention", "Favor", "GRUCell", "LSTMCell", "ReversibleConcatenatePair", "ReversibleSwap", "Swap"],
        always(2, 2),
    ),
    (
        &[
            "Accuracy",
            "BinaryCrossEntropyLoss",
            "BinaryCrossEntropySum",
            "BitsPerByte",
            "CausalFavorAttention",
            "CrossEntropyLoss",
            "CrossEntropyLossWithLogSoftmax",
            "CrossEntropySum",
            "Gate",
            "L2Loss",
            "MaskedSequenceAccuracy",
            "SequenceAccuracy",
            "SmoothL1Loss",
            "WeightedCategoryAccuracy",
            "WeightedCategoryCrossEntropy",
            "WeightedLinearCrossEntropy",
        ],
        always(3, 1),
    ),
    (&["InnerSRUCell", "ScanSRUCell"], always(3, 2)),
    (&["CreateAttentionMaskLayer"], always(3, 4)),
    (&["DotProductAttention"], Declared::Unless(&["useSegments"], Arity::new(4, 1))),
    (&["AttentionQKV", "FavorAttention", "PureAttention", "RelativeAttentionLayer"], always(4, 2)),
    (&["RelativeAttention"], always(7, 2)),
    (&["LSTM"], Declared::Unless(&["returnState", "initialState"], Arity::ONE)),
    (&["PrintShape", "ReversiblePrintShape", "ReversibleReshape"], Declared::Unless(&["nIn"], Arity::ONE)),
    (&["PureLayer"], Declared::Unless(&["nIn", "nOut"], Arity::ONE)),
    (&["Concatenate"], Declared::Unless(&["nItems"], Arity::new(2, 1))),
    (&["Split"], Declared::Unless(&["nItems"], Arity::new(1, 2))),
    (&["DotProductCausalAttention", "RelativeAttentionLMLayer"], Declared::Unless(&["useSegments"], Arity::new(3, 1))),
    (
        &[
            "CausalAttention",
            "ConvCausalAttention",
            "LowRankCausalAttention",
            "ModularCausalAttention",
            "MultiplicativeCausalAttention",
            "MultiplicativeConvCausalAttention",
            "MultiplicativeModularCausalAttention",
            "PositionalEncoding",
            "RelativeAttentionWrapper",
            "ShiftRight",
        ],
        Declared::Unless(&["useSegments"], Arity::ONE),
    ),
    (
        &["LSHSelfAttention", "PureLSHSelfAttentionWrapper", "SelfAttention"],
        Declared::Unless(&["masked", "useSegments"], Arity::ONE),
    ),
    (&["PureLSHSelfAttention"], Declared::Unless(&["masked", "useSegments"], Arity::new(2, 1))),
    (
        &["ConfusionMatrix", "FScore", "Perplexity", "Precision", "Recall", "TopKAccuracy"],
        Declared::Unless(&["weighted"], Arity::new(2, 1)),
    ),
    (&["EncDecAttention", "MixedLSHSelfAttention"], Declared::GivesUnless(&["useSegments"], 1)),
    (
        &[
            "Accelerate",
            "AssertFunction",
            "AssertShape",
            "BatchLeadingAxes",
            "Bidirectional",
            "Branch",
            "Cache",
            "Chunk",
            "Cond",
            "ConfigurableAttention",
            "EfficientAttentionBase",
            "FlattenList",
            "Fn",
            "Layer",
            "Parallel",
            "RandomLayer",
            "Residual",
            "ReversibleHalfResidual",
            "ReversibleSelect",
            "ReversibleSerial",
            "Scan",
            "Select",
            "Serial",
            "SerialWithSideOutputs",
            "SummaryImage",
        ],
        Declared::Open,
    ),
];

const fn always(n_in: usize, n_out: usize) -> Declared {
    Declared::Always(Arity::new(n_in, n_out))
}

/// What a kind says of the arity of its layers: one input and one output, unless it stands above.
#[must_use]
pub fn declared(kind: &str) -> Declared {
    OTHER.iter().find(|(kinds, _)| kinds.contains(&kind)).map_or(Declared::Always(Arity::ONE), |(_, arity)| *arity)
}
