//! Small language models, one for each kind of layer that has to do with the positions before.
use crate::support::{held, held_for, made, quantized, wide, VOCABULARY};
use serde_json::{json, Value};
use tallow_layers::{
    combinators::{
        batch_leading_axes, branch, cache_in_predict, chunk, parallel, pure, residual, scan, select, serial,
        ScanOptions,
    },
    registry,
    reversible::{half_residual, reversible_serial, reversible_swap},
    testing::References,
    Axis, Count, LayerArg, LayerRef, Mode, TensorSpec,
};
use tallow_tensor::{ops::Quantization, DType};

/// A model in mode `'predict'`, and how it is asked.
pub(crate) struct Kind {
    /// The registered names that it stands for, the first of which is its own.
    pub(crate) of: Vec<&'static str>,
    /// The model.
    pub(crate) model: LayerRef,
    /// What it begins with: `startId`.
    pub(crate) start: Value,
    /// Whether it takes a source too.
    pub(crate) has_source: bool,
}

const D: usize = 16;

fn predict(mut options: Value) -> Value {
    options["mode"] = json!("predict");
    options
}

/// A layer in mode `'predict'`.
fn on(kind: &str, options: Value) -> LayerRef {
    made(kind, predict(options))
}

/// A layer made of layers, to which `{"$layer": i}` refers.
fn around(kind: &str, options: Value, layers: Vec<LayerRef>) -> LayerRef {
    let references = References { layers, ..References::default() };
    registry::construct(kind, references.resolve(&options)).unwrap_or_else(|e| panic!("{kind}: {e}"))
}

fn normed(layers: Vec<LayerRef>) -> LayerRef {
    residual([vec![made("LayerNorm", json!({}))], layers].concat(), None).expect("one input and output")
}

/// A language model of one block around `layers`, behind what encodes positions.
fn model(position: LayerRef, layers: Vec<LayerRef>) -> LayerRef {
    held(vec![
        on("ShiftRight", json!({})),
        made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": D})),
        position,
        normed(layers),
        made("Dense", json!({"nUnits": VOCABULARY})),
    ])
}

fn table() -> LayerRef {
    on("PositionalEncoding", json!({"maxLen": 96}))
}

fn causal() -> LayerRef {
    on("CausalAttention", json!({"dFeature": D, "nHeads": 2, "maxInferenceLength": 96}))
}

/// Tensors of these rows, one behind the other, of which one is zeros: `[batch, …]` of `[batch, length, …]`.
fn with_zeros_behind() -> LayerRef {
    let of = |x: &TensorSpec| x.with_shape([&x.shape[..1], &x.shape[2..]].concat());
    pure(
        "with zeros behind",
        1,
        2,
        move |s| Ok(vec![s[0].clone(), of(&s[0])]),
        move |xs| {
            let zeros = of(&TensorSpec::of(&xs[0])).zeros()?;
            Ok(vec![xs[0].clone(), zeros])
        },
    )
}

fn reshaped(name: &str, shape: fn(&[usize]) -> Vec<usize>) -> LayerRef {
    pure(
        name,
        1,
        1,
        move |s| Ok(vec![s[0].with_shape(shape(&s[0].shape))]),
        move |xs| Ok(vec![xs[0].reshape(&shape(xs[0].shape()))?]),
    )
}

fn scanned(cell: LayerRef) -> LayerRef {
    let o = ScanOptions { layer: LayerArg(cell), axis: Axis(1), n_carry: Count(1), remat: false, mode: Mode::Predict };
    serial(vec![with_zeros_behind(), scan(o).expect("a layer that carries"), select(&[0], Some(2)).expect("two")])
}

/// A recurrent layer whose cell is convolutions over pictures of 2 × 2 positions with four channels.
fn convolving() -> LayerRef {
    let cell = made("ConvGRUCell", json!({"nUnits": 4, "mode": "predict"}));
    let step = serial(vec![made("Add", json!({})), cell, made("Dup", json!({}))]);
    serial(vec![
        reshaped("pictures", |s| vec![s[0], s[1], 2, 2, 4]),
        scanned(step),
        reshaped("vectors", |s| vec![s[0], s[1], D]),
    ])
}

/// A recurrent layer of a cell that is made of parts.
fn general() -> LayerRef {
    let options = predict(json!({"candidateTransform": {"$factory": "Dense", "options": {"nUnits": D}}}));
    let step = serial(vec![made("Add", json!({})), made("GeneralGRUCell", options), made("Dup", json!({}))]);
    scanned(step)
}

/// `ScanSRUCell` between what it needs.
fn simple() -> LayerRef {
    let gate = serial(vec![made("Dense", json!({"nUnits": D})), made("Sigmoid", json!({}))]);
    serial(vec![
        with_zeros_behind(),
        parallel(vec![branch(vec![made("Dense", json!({"nUnits": D})), gate]).expect("a branch"), serial(vec![])])
            .expect("parts side by side"),
        on("ScanSRUCell", json!({})),
        select(&[0], Some(2)).expect("two"),
    ])
}

/// Vectors as queries, which are the keys, and values, split into two heads, with `attention` between.
fn bare(attention: LayerRef, inputs: usize) -> LayerRef {
    let split = || made("SplitIntoHeads", json!({"nHeads": 2}));
    let projected = || serial(vec![made("Dense", json!({"nUnits": D})), split()]);
    serial(vec![
        branch((0..inputs).map(|_| projected()).collect::<Vec<_>>()).expect("a branch"),
        attention,
        made("MergeHeads", json!({"nHeads": 2})),
    ])
}

fn hashed(more: Value) -> Value {
    let mut options = json!({"causal": true, "nHeads": 2, "dQk": 8, "dV": 8, "nHashes": 2, "nBuckets": 4, "chunkLen": 4,
        "predictMemLen": 16, "predictDropLen": 4});
    for (name, value) in more.as_object().into_iter().flatten() {
        options[name] = value.clone();
    }
    options
}

/// A reversible block, as those of a Reformer.
fn reversible(attention: LayerRef) -> LayerRef {
    let half = |layers: Vec<LayerRef>| half_residual([vec![made("LayerNorm", json!({}))], layers].concat(), None);
    let blocks = vec![half(vec![attention]), reversible_swap(), half(vec![made("Tanh", json!({}))]), reversible_swap()];
    serial(vec![
        made("Dup", json!({})),
        reversible_serial(blocks).expect("reversible layers"),
        made("Concatenate", json!({})),
        made("Dense", json!({"nUnits": D})),
    ])
}

/// Of a source and a target: the source is encoded once, and each position of the target sees all of it.
fn translating() -> LayerRef {
    let embedded = || made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": D}));
    let encoder = serial(vec![embedded(), made("Dense", json!({"nUnits": D}))]);
    let encoded = branch(vec![encoder, made("PaddingMask", json!({"pad": 0}))]).expect("a branch");
    let target = serial(vec![on("ShiftRight", json!({})), embedded(), table(), normed(vec![causal()])]);
    held_for(
        vec![
            parallel(vec![cache_in_predict(encoded, Mode::Predict), target]).expect("parts side by side"),
            select(&[2, 0, 0, 1], Some(3)).expect("four of three"),
            on("AttentionQKV", json!({"dFeature": D, "nHeads": 2})),
            select(&[0], Some(2)).expect("one of two"),
            made("Dense", json!({"nUnits": VOCABULARY})),
        ],
        2,
    )
}

fn kind(of: &[&'static str], layers: Vec<LayerRef>) -> Kind {
    Kind { of: of.to_vec(), model: model(table(), layers), start: json!(0), has_source: false }
}

fn encoding(name: &'static str, options: Value) -> Kind {
    Kind { of: vec![name], model: model(on(name, options), vec![causal()]), start: json!(0), has_source: false }
}

fn attention_of(name: &'static str, options: Value) -> Kind {
    kind(&[name, "DotProductCausalAttention"], vec![on(name, options)])
}

/// Every kind of layer that goes on, or is computed otherwise where positions come one by one.
pub(crate) fn kinds() -> Vec<Kind> {
    let room = |mut options: Value| {
        options["dFeature"] = json!(D);
        options["nHeads"] = json!(2);
        options["maxInferenceLength"] = json!(96);
        options
    };
    let window = json!({"causal": true, "nHeads": 2, "dQk": 8, "dV": 8, "predictMemLen": 12, "predictDropLen": 4});
    let local = json!({"causal": true, "nHeads": 2, "dQk": 8, "dV": 8, "chunkLen": 4, "nChunksBefore": 1});
    let wrapped = |more: Value| on("PureLSHSelfAttentionWrapper", hashed(more));
    let recurrent = |name: &'static str| Kind {
        of: vec![name, "Scan"],
        model: held(vec![
            made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": D})),
            on(name, json!({"nUnits": D})),
            made("Dense", json!({"nUnits": VOCABULARY})),
        ]),
        start: json!(null),
        has_source: false,
    };
    let lstm_of_16 = || on("LSTM", json!({"nUnits": D}));
    let mut all = vec![
        attention_of("CausalAttention", room(json!({}))),
        kind(&["CausalAttention", "CausalDepthwiseConv"], vec![on("CausalAttention", room(json!({"useDconv": true})))]),
        kind(
            &["DotProductCausalAttention", "ConfigurableAttention", "LocallyConvDense"],
            vec![around(
                "ConfigurableAttention",
                json!({"qLayer": {"$layer": 0}, "kLayer": {"$layer": 1}, "vLayer": {"$layer": 2}, "finalLayer": {"$layer": 3},
                    "qkvAttentionLayer": {"$layer": 4}, "nHeads": 2}),
                vec![
                    on("LocallyConvDense", json!({"nModules": 4, "nUnits": 4, "kernelSize": 3, "lengthKernelSize": 3})),
                    made("Dense", json!({"nUnits": D})),
                    made("Dense", json!({"nUnits": D})),
                    made("Dense", json!({"nUnits": D})),
                    on("DotProductCausalAttention", json!({"maxInferenceLength": 96})),
                ],
            )],
        ),
        attention_of("ModularCausalAttention", room(json!({"sparsity": 2}))),
        attention_of("LowRankCausalAttention", room(json!({"lowrank": 4}))),
        attention_of("MultiplicativeCausalAttention", room(json!({"sparsity": 4}))),
        attention_of("MultiplicativeModularCausalAttention", room(json!({"sparsity": 4}))),
        attention_of("ConvCausalAttention", room(json!({"sparsity": 2}))),
        attention_of("MultiplicativeConvCausalAttention", room(json!({"sparsity": 4, "outputLayerType": "multconv"}))),
        kind(&["CausalFavor", "CausalFavorAttention"], vec![on("CausalFavor", json!({"dFeature": D, "nHeads": 2}))]),
        kind(&["SelfAttention"], vec![on("SelfAttention", window)]),
        kind(&["SelfAttention"], vec![on("SelfAttention", local)]),
        kind(&["LSHSelfAttention"], vec![on("LSHSelfAttention", hashed(json!({})))]),
        // Without `nBuckets` their number hangs on how many positions come at a time.
        kind(&["LSHSelfAttention"], vec![on("LSHSelfAttention", hashed(json!({"nBuckets": null, "bias": true})))]),
        kind(&["PureLSHSelfAttention"], vec![bare(on("PureLSHSelfAttention", hashed(json!({}))), 2)]),
        kind(
            &["MixedLSHSelfAttention", "PureLSHSelfAttention"],
            vec![bare(on("MixedLSHSelfAttention", hashed(json!({"stdLength": 5}))), 2)],
        ),
        kind(
            &["PureLSHSelfAttentionWrapper", "PureLSHSelfAttention", "Rotate"],
            vec![wrapped(json!({"rotaryPositionEmb": true}))],
        ),
        kind(&["PureLSHSelfAttentionWrapper", "PureLSHSelfAttention"], vec![wrapped(json!({"numWeights": 2}))]),
        kind(
            &["PureLSHSelfAttentionWrapper", "LocallyConvDense"],
            vec![wrapped(json!({"weightsFormat": "sparse", "sparsity": 4}))],
        ),
        kind(
            &["PureLSHSelfAttentionWrapper", "MixedLSHSelfAttention"],
            vec![wrapped(
                json!({"stdLength": 6, "pureLshImplementation": {"$factory": "MixedLSHSelfAttention", "options": {}}}),
            )],
        ),
        kind(&["LSHFF"], vec![causal(), on("LSHFF", json!({"dFf": 32, "nBuckets": 4}))]),
        kind(&["SparseFF"], vec![causal(), on("SparseFF", json!({"dFf": 32, "nElementsInBlock": 8, "dLowrank": 4}))]),
        kind(
            &["SparseFF"],
            vec![
                causal(),
                on(
                    "SparseFF",
                    json!({"dFf": 32, "nElementsInBlock": 4, "multiplyByControllerOutput": true, "ffChunkSize": 2}),
                ),
            ],
        ),
        kind(&["BlockSparseFF"], vec![causal(), on("BlockSparseFF", json!({"dFf": 32, "nExperts": 4}))]),
        kind(&["SwitchSparseFF"], vec![causal(), on("SwitchSparseFF", json!({"dFf": 32, "nExperts": 4}))]),
        kind(
            &["SparseDenseWithOptions"],
            vec![
                causal(),
                on("SparseDenseWithOptions", json!({"nUnits": D, "dInput": D, "sparsityType": "mult", "sparsity": 4})),
                on("SparseDenseWithOptions", json!({"nUnits": D, "sparsityType": "local3", "sparsity": 4})),
                on(
                    "SparseDenseWithOptions",
                    json!({"nUnits": D, "sparsityType": "lowrank", "sparsity": 4, "dLowrank": 3}),
                ),
                on(
                    "SparseDenseWithOptions",
                    json!({"nUnits": D, "dInput": D, "sparsityType": "einsum", "sparsity": 4}),
                ),
            ],
        ),
        encoding("PositionalEncoding", json!({"maxLen": 96})),
        encoding("SinCosPositionalEncoding", json!({})),
        encoding("FixedBasePositionalEncoding", json!({"bases": [11, 13], "nDigits": 4})),
        encoding("AxialPositionalEncoding", json!({"shape": [12, 8], "dEmbs": [8, 8]})),
        encoding("TimeBinPositionalEncoding", json!({"timeBinLength": 5})),
        encoding("InfinitePositionalEncoding", json!({"affine": false})),
        encoding("InfinitePositionalEncoding", json!({"affine": true})),
        encoding("Rotate", json!({})),
        encoding("CausalConv", json!({"filters": D})),
        encoding("CausalDepthwiseConv", json!({"kernelSize": 4})),
        encoding("LocallyConvDense", json!({"nModules": 4, "nUnits": 4, "kernelSize": 3, "lengthKernelSize": 3})),
        recurrent("LSTM"),
        recurrent("GRU"),
        recurrent("SRU"),
        kind(
            &["SRU"],
            vec![around(
                "SRU",
                predict(json!({"nUnits": D, "activation": {"$layer": 0}})),
                vec![made("Tanh", json!({}))],
            )],
        ),
        kind(&["ScanSRUCell"], vec![simple()]),
        kind(&["ConvGRUCell", "Scan"], vec![convolving()]),
        kind(&["GeneralGRUCell", "Scan"], vec![general()]),
        kind(
            &["LSTM", "Accelerate"],
            vec![around("Accelerate", json!({"layer": {"$layer": 0}, "nDevices": 2}), vec![lstm_of_16()])],
        ),
        kind(
            &["LoRA"],
            vec![
                causal(),
                around(
                    "LoRA",
                    predict(json!({"layer": {"$layer": 0}, "rank": 2})),
                    vec![made("Dense", json!({"nUnits": D}))],
                ),
            ],
        ),
        kind(&["ReversibleSerial", "LSHSelfAttention"], vec![reversible(on("LSHSelfAttention", hashed(json!({}))))]),
        kind(&["ReversibleSerial", "CausalAttention"], vec![reversible(causal())]),
        // Each of two rows of a stream for itself, and rows worked off in pieces.
        kind(
            &["BatchLeadingAxes"],
            vec![
                reshaped("one row more", |s| vec![s[0], 1, s[1], s[2]]),
                batch_leading_axes(causal(), 2).expect("a layer"),
                reshaped("one row less", |s| vec![s[0], s[2], s[3]]),
            ],
        ),
        kind(&["Chunk"], vec![bare(chunk(one_head(), 2, true).expect("pieces"), 1)]),
        kind(&["Cond"], vec![causal(), deciding()]),
        Kind {
            of: vec!["Cache", "AttentionQKV", "DotProductAttention"],
            model: translating(),
            start: json!(0),
            has_source: true,
        },
    ];
    for q in Quantization::ALL {
        all.push(Kind {
            of: vec!["Dense", "Embedding"],
            model: wide(Mode::Predict, q),
            start: json!(0),
            has_source: false,
        });
        all.push(Kind { of: vec!["LSTM"], model: quantized_recurrent(q), start: json!(null), has_source: false });
    }
    all
}

fn one_head() -> LayerRef {
    let options = json!({"causal": true, "nHeads": 1, "dQk": 8, "dV": 8, "predictMemLen": 12, "predictDropLen": 4});
    on("SelfAttention", options)
}

fn quantized_recurrent(q: Quantization) -> LayerRef {
    quantized(
        &held(vec![
            made("Embedding", json!({"vocabSize": VOCABULARY, "dFeature": 40})),
            on("LSTM", json!({"nUnits": 40})),
            on("GRU", json!({"nUnits": 40})),
            on("SRU", json!({"nUnits": 40})),
            made("Dense", json!({"nUnits": VOCABULARY})),
        ]),
        q,
    )
}

/// Models whose attention has no state in mode `'predict'`.
pub(crate) fn relative() -> Vec<LayerRef> {
    let normal = json!({"$initializer": {"kind": "RandomNormalInitializer", "options": {}}});
    let bias = || made("Weights", json!({"initializer": normal, "shape": [1, 2, 1, 8]}));
    let options = |pooling: &str| {
        let mut options =
            json!({"dFeature": D, "contextBiasLayer": {"$layer": 0}, "locationBiasLayer": {"$layer": 1}, "nHeads": 2});
        options[pooling] = json!(1);
        predict(options)
    };
    let thrice = || select(&[0, 0, 0], None).expect("three of one");
    vec![
        model(table(), vec![around("RelativeAttentionWrapper", options("totalPooling"), vec![bias(), bias()])]),
        model(
            table(),
            vec![thrice(), around("RelativeAttentionLMLayer", options("totalKvPooling"), vec![bias(), bias()])],
        ),
    ]
}

/// Another layer where the first number of all that come is above 0.
fn deciding() -> LayerRef {
    let decide = pure(
        "above 0",
        1,
        1,
        |_| Ok(vec![TensorSpec::new([0usize; 0], DType::Bool)]),
        |xs| Ok(vec![xs[0].index(0, 0)?.index(0, 0)?.index(0, 0)?.gt_scalar(0.0)?]),
    );
    let layers = vec![decide, made("Tanh", json!({})), made("Negate", json!({}))];
    let choice = json!({"cond": {"$layer": 0}, "true": {"$layer": 1}, "false": {"$layer": 2}});
    serial(vec![made("Dup", json!({})), around("Cond", choice, layers)])
}
