//! The methods of `Tensor` in TypeScript. What they do is written at the Rust functions.
use super::declare::*;

const OTHER: Param = OPERAND.named(
    "other",
    "A tensor, or a number that takes this tensor's dtype where it can; a bigint meets tensors of integers only.",
);
const MASK: Param = TENSOR.named("other", "A tensor of any dtype.");
const VALUE: Param = NUMBER.named("value", "A number, or a bigint beside a tensor of integers.");
const OVER: Param = REDUCE.named(
    "options",
    "One axis, several, or `{ axis, keepdims }`; all axes by default. A negative axis counts from the end.",
);
const OVER_ONE: Param = REDUCE_ONE.named(
    "options",
    "The axis, or `{ axis, keepdims }`; all elements by default. A negative axis counts from the end.",
);
const ALONG: Param = AXIS_OR_ALL.named("options", "The axis, or `{ axis }`; by default all elements, as one axis.");
const ALONG_FIRST: Param = FIRST_AXIS.named("options", "The axis, or `{ axis }`; the first by default.");
const ALONG_LAST: Param = LAST_AXIS.named("options", "The axis, or `{ axis }`; the last by default.");
const SORTED: Param =
    SORT.named("options", "The axis, or `{ axis, descending }`; by default the last axis, in ascending order.");
const INDICES: Param = TENSOR.named("indices", "Places along the axis, integers.");
const UPDATES: Param = TENSOR.named("updates", "The values for those places.");

/// The methods, by what they are for.
pub const FAMILIES: &[(&str, &[Function])] = &[
    (
        "Arithmetic",
        &[
            function("add", "tl.tensor([1, 2]).add(10); // → Tensor int32[2] [11,12]").takes(&[OTHER]),
            function("sub", "tl.tensor([1, 2]).sub(tl.tensor([[1], [2]])); // → Tensor int32[2,2] [[0,1],[-1,0]]")
                .takes(&[OTHER]),
            function("mul", "tl.tensor([1, 2]).mul(0.5); // → Tensor float32[2] [0.5,1]").takes(&[OTHER]),
            function("div", "tl.tensor([1, 2]).div(2); // → Tensor float32[2] [0.5,1]").takes(&[OTHER]),
            function("pow", "tl.tensor([1, 2, 3]).pow(2); // → Tensor int32[3] [1,4,9]").takes(&[OTHER]),
            function("mod", "tl.tensor([-1, 5]).mod(3); // → Tensor int32[2] [2,2]").rust("rem").native("rem").takes(&[OTHER]),
            function("maximum", "tl.tensor([1, 5]).maximum(3); // → Tensor int32[2] [3,5]").takes(&[OTHER]),
            function("minimum", "tl.tensor([1, 5]).minimum(3); // → Tensor int32[2] [1,3]").takes(&[OTHER]),
            function("rsub", "tl.tensor([1, 2]).rsub(10); // → Tensor int32[2] [9,8]")
                .rust("rsub_scalar")
                .native("rsubScalar")
                .takes(&[VALUE]),
            function("rdiv", "tl.tensor([1, 2]).rdiv(1); // → Tensor float32[2] [1,0.5]")
                .rust("rdiv_scalar")
                .native("rdivScalar")
                .takes(&[VALUE]),
            function("rpow", "tl.tensor([1, 2]).rpow(10); // → Tensor int32[2] [10,100]")
                .rust("rpow_scalar")
                .native("rpowScalar")
                .takes(&[VALUE]),
            function("matmul", "tl.tensor([[1, 2], [3, 4]]).matmul(tl.tensor([[1], [1]])); // → Tensor int32[2,1] [[3],[7]]")
                .takes(&[TENSOR.named("other", "The right factor.")]),
        ],
    ),
    (
        "Comparison",
        &[
            function("eq", "tl.tensor([1, 2, 3]).eq(2); // → Tensor bool[3] [false,true,false]").takes(&[OTHER]),
            function("ne", "tl.tensor([1, 2, 3]).ne(2); // → Tensor bool[3] [true,false,true]").takes(&[OTHER]),
            function("lt", "tl.tensor([1, 2, 3]).lt(2); // → Tensor bool[3] [true,false,false]").takes(&[OTHER]),
            function("le", "tl.tensor([1, 2, 3]).le(2); // → Tensor bool[3] [true,true,false]").takes(&[OTHER]),
            function("gt", "tl.tensor([1, 2, 3]).gt(2); // → Tensor bool[3] [false,false,true]").takes(&[OTHER]),
            function("ge", "tl.tensor([1, 2, 3]).ge(2); // → Tensor bool[3] [false,true,true]").takes(&[OTHER]),
            function("logicalAnd", "tl.tensor([0, 1]).logicalAnd(tl.tensor([1, 1])); // → Tensor bool[2] [false,true]")
                .takes(&[MASK]),
            function("logicalOr", "tl.tensor([0, 1]).logicalOr(tl.tensor([0, 1])); // → Tensor bool[2] [false,true]")
                .takes(&[MASK]),
            function("logicalXor", "tl.tensor([0, 1]).logicalXor(tl.tensor([1, 1])); // → Tensor bool[2] [true,false]")
                .takes(&[MASK]),
            function("logicalNot", "tl.tensor([0, 1]).logicalNot(); // → Tensor bool[2] [true,false]"),
            function("isNaN", "tl.tensor([0.5, NaN]).isNaN(); // → Tensor bool[2] [false,true]").rust("isnan").native("isnan"),
            function("isFinite", "tl.tensor([0.5, Infinity]).isFinite(); // → Tensor bool[2] [true,false]")
                .rust("isfinite")
                .native("isfinite"),
            function("where", "tl.tensor([true, false]).where(1, tl.tensor([5, 6])); // → Tensor int32[2] [1,6]")
                .rust("where_")
                .takes(&[
                    EITHER.named("a", "What is picked where this tensor is true: a tensor, or a number that takes the dtype of `b`."),
                    EITHER.named("b", "What is picked elsewhere: a tensor, or a number that takes the dtype of `a`."),
                ])
                .note("This tensor is the condition. Two numbers give int32 if both are whole, int64 if one is a bigint, else float32."),
            function("maskFill", "tl.tensor([1, 2]).maskFill(tl.tensor([true, false]), 0); // → Tensor int32[2] [0,2]").takes(&[
                TENSOR.named("mask", "Where to replace; it broadcasts."),
                NUMBER.named("value", "What to put there."),
            ]),
        ],
    ),
    (
        "Functions of each element",
        &[
            function("neg", "tl.tensor([1, -2]).neg(); // → Tensor int32[2] [-1,2]"),
            function("abs", "tl.tensor([1, -2]).abs(); // → Tensor int32[2] [1,2]"),
            function("sign", "tl.tensor([-3, 0, 5]).sign(); // → Tensor int32[3] [-1,0,1]"),
            function("square", "tl.tensor([1, 2, 3]).square(); // → Tensor int32[3] [1,4,9]"),
            function("sqrt", "tl.tensor([1, 4, 9]).sqrt(); // → Tensor float32[3] [1,2,3]"),
            function("rsqrt", "tl.tensor([1, 4]).rsqrt(); // → Tensor float32[2] [1,0.5]"),
            function("reciprocal", "tl.tensor([1, 2, 4]).reciprocal(); // → Tensor float32[3] [1,0.5,0.25]")
                .rust("recip")
                .native("recip"),
            function("exp", "tl.tensor([0, 1]).exp(); // → Tensor float32[2] [1,2.71828]"),
            function("expm1", "tl.tensor([0, 1]).expm1(); // → Tensor float32[2] [0,1.71828]"),
            function("log", "tl.tensor([1, 10]).log(); // → Tensor float32[2] [0,2.30259]"),
            function("log1p", "tl.tensor([0, 9]).log1p(); // → Tensor float32[2] [0,2.30259]").native("log1P"),
            function("sin", "tl.tensor([0, Math.PI / 2]).sin(); // → Tensor float32[2] [0,1]"),
            function("cos", "tl.tensor([0, Math.PI]).cos(); // → Tensor float32[2] [1,-1]"),
            function("tanh", "tl.tensor([0, 1]).tanh(); // → Tensor float32[2] [0,0.761594]"),
            function("sigmoid", "tl.tensor([0, 1]).sigmoid(); // → Tensor float32[2] [0.5,0.731059]"),
            function("erf", "tl.tensor([0, 1]).erf(); // → Tensor float32[2] [0,0.842701]"),
            function("relu", "tl.tensor([-1, 2]).relu(); // → Tensor int32[2] [0,2]"),
            function("softplus", "tl.tensor([0, 1]).softplus(); // → Tensor float32[2] [0.693147,1.31326]"),
            function("swish", "tl.tensor([0, 1]).swish(); // → Tensor float32[2] [0,0.731059]"),
            function("gelu", "tl.tensor([0, 1]).gelu(); // → Tensor float32[2] [0,0.841192]")
                .takes(&[APPROXIMATE.named("approximate", "Whether to use the formula with tanh, as Trax does; the default.")]),
            function("floor", "tl.tensor([1.5, -1.5]).floor(); // → Tensor float32[2] [1,-2]"),
            function("ceil", "tl.tensor([1.5, -1.5]).ceil(); // → Tensor float32[2] [2,-1]"),
            function("round", "tl.tensor([0.5, 1.5, 2.4]).round(); // → Tensor float32[3] [0,2,2]"),
            function("clip", "tl.tensor([-1, 2, 5]).clip(0, 3); // → Tensor int32[3] [0,2,3]").takes(&[
                BOUND.named("lo", "The least value; `null` is no bound."),
                BOUND.named("hi", "The largest value; `null` is no bound."),
            ]),
            function("cast", "tl.tensor([0.5, 2.7]).cast('int32'); // → Tensor int32[2] [0,2]")
                .takes(&[DTYPE.named("dtype", "The dtype that the result has.")]),
            function("to", "tl.tensor([1, 2]).to('cpu').device; // → 'cpu'")
                .rust("to_device")
                .native("toDevice")
                .takes(&[TEXT.named("device", "`cpu`, `cuda:0` or `metal:0`.")]),
            function("stopGradient", "tl.grad((x: tl.Tensor) => x.mul(x.stopGradient()).sum())(tl.tensor([2.5, 3])); // → Tensor float32[2] [2.5,3]"),
        ],
    ),
    (
        "Reductions",
        &[
            function("sum", "const x = tl.tensor([[1, 2], [3, 4]]);\nx.sum(); // → Tensor int32[] 10\nx.sum({ axis: 1, keepdims: true }); // → Tensor int32[2,1] [[3],[7]]")
                .takes(&[OVER]),
            function("mean", "tl.tensor([[1, 2], [3, 4]]).mean(0); // → Tensor float32[2] [2,3]").takes(&[OVER]),
            function("max", "tl.tensor([[1, 2], [3, 4]]).max(-1); // → Tensor int32[2] [2,4]").takes(&[OVER]),
            function("min", "tl.tensor([[1, 2], [3, 4]]).min(0); // → Tensor int32[2] [1,2]").takes(&[OVER]),
            function("prod", "tl.tensor([[1, 2], [3, 4]]).prod(1); // → Tensor int32[2] [2,12]").takes(&[OVER]),
            function("variance", "tl.tensor([[1, 3], [2, 2]]).variance(1); // → Tensor float32[2] [1,0]").rust("var").takes(&[OVER]),
            function("logSumExp", "tl.tensor([1000, 1000]).logSumExp(); // → Tensor float32[] 1000.69")
                .rust("logsumexp")
                .native("logsumexp")
                .takes(&[OVER]),
            function("any", "tl.tensor([[0, 1], [0, 0]]).any(1); // → Tensor bool[2] [true,false]").takes(&[OVER]),
            function("all", "tl.tensor([[1, 1], [0, 1]]).all(1); // → Tensor bool[2] [true,false]").takes(&[OVER]),
            function("argmax", "tl.tensor([[3, 1], [2, 5]]).argmax(-1); // → Tensor int32[2] [0,1]").takes(&[OVER_ONE]),
            function("argmin", "tl.tensor([[3, 1], [2, 5]]).argmin(); // → Tensor int32[] 1").takes(&[OVER_ONE]),
            function("cumsum", "tl.tensor([1, 2, 3]).cumsum(); // → Tensor int32[3] [1,3,6]")
                .takes(&[ALONG])
                .call("axisOf('cumsum', options)"),
            function("softmax", "tl.tensor([0.5, 0.5]).softmax(); // → Tensor float32[2] [0.5,0.5]").takes(&[ALONG_LAST]),
            function("logSoftmax", "tl.tensor([0.5, 0.5]).logSoftmax(); // → Tensor float32[2] [-0.693147,-0.693147]")
                .takes(&[ALONG_LAST]),
        ],
    ),
    (
        "Shape",
        &[
            function("reshape", "tl.arange(6).reshape([2, -1]); // → Tensor int32[2,3] [[0,1,2],[3,4,5]]")
                .rust("reshape_infer")
                .native("reshapeInfer")
                .takes(&[WHOLES.named("shape", "Sizes of the axes; one may be -1.")]),
            function("transpose", "tl.zeros([2, 3, 4]).transpose([2, 0, 1]).shape; // → [ 4, 2, 3 ]")
                .takes(&[ORDER.named("perm", "Which axis comes at each place; by default the last one first.")]),
            function("swapAxes", "tl.zeros([2, 3, 4]).swapAxes(0, 2).shape; // → [ 4, 3, 2 ]").takes(&[
                WHOLE.named("a", "An axis; a negative one counts from the end."),
                WHOLE.named("b", "The axis it changes places with."),
            ]),
            function("moveAxis", "tl.zeros([2, 3, 4]).moveAxis(0, -1).shape; // → [ 3, 4, 2 ]").takes(&[
                WHOLE.named("from", "The axis; a negative one counts from the end."),
                WHOLE.named("to", "Its place in the result."),
            ]),
            function("expandDims", "tl.tensor([1, 2]).expandDims(1); // → Tensor int32[2,1] [[1],[2]]")
                .takes(&[WHOLE.named("axis", "Place of the new axis in the result; a negative one counts from the end.")]),
            function("squeeze", "tl.tensor([[1], [2]]).squeeze(); // → Tensor int32[2] [1,2]")
                .takes(&[AXES.named("options", "One axis, several, or `{ axis }`; by default all axes of size 1.")]),
            function("broadcastTo", "tl.tensor([1, 2]).broadcastTo([2, 2]); // → Tensor int32[2,2] [[1,2],[1,2]]")
                .takes(&[WHOLES.named("shape", "Sizes of the axes of the result.")]),
        ],
    ),
    (
        "Parts",
        &[
            function("index", "tl.tensor([[1, 2], [3, 4]]).index(-1); // → Tensor int32[2] [3,4]")
                .takes(&[WHOLE.named("i", "The place along the axis; a negative one counts from the end."), ALONG_FIRST])
                .call("axisOf('index', options) ?? 0, i"),
            function("slice", "const x = tl.arange(10);\nx.slice([2], [8], [2]); // → Tensor int32[3] [2,4,6]\nx.slice([-3], [null]); // → Tensor int32[3] [7,8,9]")
                .takes(&[
                    PLACES.named("starts", "Where to begin on each axis; `null` is the end of the axis that the walk begins at."),
                    PLACES.named("ends", "Where to stop, just before; `null` is the end of the axis that the walk goes to."),
                    STEPS.named("steps", "From each element to the next, 1 by default; a negative step walks backwards."),
                ])
                .call("...sliced(this, starts, ends, steps)"),
            function("split", "const [a, b] = tl.arange(4).split(2);\nb; // → Tensor int32[2] [2,3]\ntl.arange(4).split([1]).map((x) => x.shape); // → [ [ 1 ], [ 3 ] ]")
                .takes(&[PARTS.named("parts", "How many parts, or where parts begin after the first."), ALONG_FIRST])
                .gives(Gives::Tensors)
                .note("A list of ascending places, instead of a number, gives the parts between them: `[1]` cuts once, behind the first slice.")
                .body("const axis = axisOf('split', options) ?? 0;\nconst handles = typeof parts === 'number' ? native.split(this.id, parts, axis) : native.splitAt(this.id, parts, axis);\nreturn handles.map((id) => this[make](id));"),
            function("pad", "tl.tensor([1, 2]).pad([[1, 2]]); // → Tensor int32[5] [0,1,2,0,0]").takes(&[
                WIDTHS.named("widths", "How many elements to put `[before, after]` each axis."),
                PADDING.named("options", "The value to put there, or `{ value }`; 0 by default."),
            ]),
            function("flip", "tl.tensor([1, 2, 3]).flip(); // → Tensor int32[3] [3,2,1]")
                .takes(&[AXES.named("options", "One axis, several, or `{ axis }`; all axes by default.")]),
            function("roll", "tl.tensor([1, 2, 3, 4]).roll(1); // → Tensor int32[4] [4,1,2,3]")
                .takes(&[WHOLE.named("shift", "How far; a negative number shifts towards the start."), ALONG])
                .call("shift, axisOf('roll', options)"),
            function("tile", "tl.tensor([1, 2]).tile([2]); // → Tensor int32[4] [1,2,1,2]")
                .takes(&[WHOLES.named("repeats", "How often along each axis.")]),
            function("repeat", "tl.tensor([1, 2]).repeat(2); // → Tensor int32[4] [1,1,2,2]")
                .takes(&[WHOLE.named("n", "How often each position."), ALONG_FIRST]),
        ],
    ),
    (
        "Indexing",
        &[
            function("take", "tl.tensor([[1, 2], [3, 4]]).take(tl.tensor([1, 1]), 0); // → Tensor int32[2,2] [[3,4],[3,4]]")
                .takes(&[INDICES, ALONG])
                .call("idOf(indices, 'take: indices'), axisOf('take', options)"),
            function("takeAlongAxis", "tl.tensor([[1, 2], [3, 4]]).takeAlongAxis(tl.tensor([[1], [0]]), 1); // → Tensor int32[2,1] [[2],[3]]")
                .rust("gather")
                .native("gather")
                .takes(&[INDICES, AXIS.named("options", "The axis, or `{ axis }`.")]),
            function("gather", "tl.tensor([[1, 2], [3, 4]]).gather(tl.tensor([[1], [0]])); // → Tensor int32[2,1] [[2],[3]]")
                .takes(&[INDICES, ALONG_LAST])
                .note("The same as `takeAlongAxis`, with the last axis by default.")
                .body("return this.takeAlongAxis(indices, options);"),
            function("scatter", "tl.zeros([4]).scatter(tl.tensor([0, 2]), tl.tensor([1.5, 2.5])); // → Tensor float32[4] [1.5,0,2.5,0]")
                .takes(&[INDICES, UPDATES, ALONG_FIRST]),
            function("scatterAdd", "tl.zeros([3]).scatterAdd(tl.tensor([0, 0]), tl.tensor([1.5, 2.5])); // → Tensor float32[3] [4,0,0]")
                .takes(&[INDICES, UPDATES, ALONG_FIRST]),
            function("oneHot", "tl.tensor([0, 2]).oneHot(3); // → Tensor float32[2,3] [[1,0,0],[0,0,1]]").takes(&[
                WHOLE.named("n", "Size of the new last axis."),
                DTYPE_OPTION.named("options", "`{ dtype }` of the result; float32 by default."),
            ]),
        ],
    ),
    (
        "Order",
        &[
            function("sort", "tl.tensor([3, 1, 2]).sort(); // → Tensor int32[3] [1,2,3]").takes(&[SORTED]),
            function("argsort", "tl.tensor([3, 1, 2]).argsort({ descending: true }); // → Tensor int32[3] [0,2,1]").takes(&[SORTED]),
            function("topK", "const [values, places] = tl.tensor([3, 1, 4]).topK(2);\nvalues; // → Tensor int32[2] [4,3]\nplaces; // → Tensor int32[2] [2,0]")
                .takes(&[WHOLE.named("k", "How many.")])
                .gives(Gives::Pair),
        ],
    ),
];
