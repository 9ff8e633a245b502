//! The functions of TypeScript that make tensors, or take several. What they do is written at the Rust functions.
use super::declare::*;

const SIZES: Param = WHOLES.named("shape", "Sizes of the axes.");
const MADE: Param = OPTIONS.named("options", "`{ dtype, device }`; float32 on the CPU by default.");
const LIKE: Param = TENSOR.named("x", "The tensor to take shape, dtype and device from.");
const ALONG: Param =
    FIRST_AXIS.named("axis", "The axis, or `{ axis }`; the first by default. A negative axis counts from the end.");
const NOT_NUMBERS: &str = "Two numbers give int32 if both are whole, int64 if one is a bigint, else float32.";

/// The functions, in the order they are documented.
pub const FUNCTIONS: &[Function] = &[
    function("full", "tl.full([2, 2], 7); // → Tensor int32[2,2] [[7,7],[7,7]]")
        .takes(&[
            SIZES,
            NUMBER.named("value", "The value of every element."),
            OPTIONS.named(
                "options",
                "`{ dtype, device }`; by default int32 for a whole number, int64 for a bigint, else float32, on the CPU.",
            ),
        ])
        .body("return wrap(native.full(shape, value, ...placed('full', options)));"),
    function("zeros", "tl.zeros([2, 3]); // → Tensor float32[2,3] [[0,0,0],[0,0,0]]")
        .takes(&[SIZES, MADE])
        .body("return wrap(native.zeros(shape, ...placed('zeros', options)));"),
    function("ones", "tl.ones([3], { dtype: 'int32' }); // → Tensor int32[3] [1,1,1]")
        .takes(&[SIZES, MADE])
        .body("return wrap(native.ones(shape, ...placed('ones', options)));"),
    function("zerosLike", "tl.zerosLike(tl.tensor([1, 2])); // → Tensor int32[2] [0,0]").takes(&[LIKE]),
    function("onesLike", "tl.onesLike(tl.tensor([0.5, 2])); // → Tensor float32[2] [1,1]").takes(&[LIKE]),
    function(
        "arange",
        "tl.arange(4); // → Tensor int32[4] [0,1,2,3]\ntl.arange(1, 2, 0.25); // → Tensor float32[4] [1,1.25,1.5,1.75]",
    )
    .takes(&[
        NUMBER.named("start", "The first number; where it is the only one, the range goes from 0 to before it."),
        Kind { ts: "?: number | bigint | null", call: "" }.named("stop", "Where to stop, just before."),
        Kind { ts: "?: number | bigint | null", call: "" }.named("step", "From each number to the next, 1 by default."),
        OPTIONS.named("options", "`{ dtype, device }` of the tensor."),
    ])
    .note("A bigint among the three gives int64.")
    .body(
        "return wrap(native.arange(start, stop ?? null, step ?? null, ...placed('arange', options)));",
    ),
    function("eye", "tl.eye(2); // → Tensor float32[2,2] [[1,0],[0,1]]")
        .takes(&[
            WHOLE.named("n", "How many rows."),
            Kind { ts: ": number = n", call: "" }.named("m", "How many columns; as many as rows by default."),
            MADE,
        ])
        .body("return wrap(native.eye(n, m, ...placed('eye', options)));"),
    function("tri", "tl.tri(2); // → Tensor bool[2,2] [[true,false],[true,true]]")
        .rust("tril_mask")
        .takes(&[
            WHOLE.named("n", "How many rows."),
            Kind { ts: ": number = n", call: "" }.named("m", "How many columns; as many as rows by default."),
            Kind { ts: ": number = 0", call: "" }
                .named("k", "The diagonal, 0 by default; a positive one lies above it, a negative one below."),
        ])
        .body("return wrap(native.trilMask(n, m, k, null));"),
    function("concat", "tl.concat([tl.tensor([1, 2]), tl.tensor([3])]); // → Tensor int32[3] [1,2,3]")
        .takes(&[TENSORS.named("tensors", "The tensors, in order."), ALONG]),
    function("stack", "tl.stack([tl.tensor([1, 2]), tl.tensor([3, 4])]); // → Tensor int32[2,2] [[1,2],[3,4]]")
        .takes(&[TENSORS.named("tensors", "The tensors, in order."), ALONG]),
    function(
        "einsum",
        "const x = tl.tensor([[1, 2], [3, 4]]);\n\
         tl.einsum('ij,kj->ik', x, x); // → Tensor int32[2,2] [[5,11],[11,25]]\n\
         tl.einsum('ii', x); // → Tensor int32[] 5",
    )
    .takes(&[
        TEXT.named("spec", "The axes of each operand, divided by commas, and those of the result behind `->`."),
        Kind { ts: ": readonly Tensor[]", call: "ids('einsum: operands', operands)" }.named("...operands", "A tensor for each term."),
    ])
    .call("text('einsum: spec', spec), ids('einsum: operands', operands)"),
    function("where", "tl.where(tl.tensor([true, false]), tl.tensor([1, 2]), 0); // → Tensor int32[2] [1,0]")
        .rust("where_")
        .takes(&[
            TENSOR.named("condition", "Where to pick from `a`."),
            EITHER.named("a", "What is picked where the condition is true: a tensor, or a number that takes the dtype of `b`."),
            EITHER.named("b", "What is picked elsewhere: a tensor, or a number that takes the dtype of `a`."),
        ])
        .note(NOT_NUMBERS),
    function("matmul", "tl.matmul(tl.eye(2), tl.tensor([[1, 2], [3, 4]])); // → Tensor float32[2,2] [[1,2],[3,4]]").takes(&[
        TENSOR.named("a", "The left factor, `x` of the formula."),
        TENSOR.named("b", "The right factor, `other` of the formula."),
    ]),
    function("stopGradient", "tl.grad((x: tl.Tensor) => tl.stopGradient(x).mul(x).sum())(tl.tensor([2.5])); // → Tensor float32[1] [2.5]")
        .takes(&[TENSOR.named("x", "The tensor.")]),
];
