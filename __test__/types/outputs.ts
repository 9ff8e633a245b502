/** What the compiler knows of the tensors that layers take and give. */
import { expectTypeOf } from 'expect-type';
import * as tl from '../../src/index.js';

const x = tl.ones([2, 3]);
type One = tl.Layer<tl.Tensor, 1>;
type Two = [tl.Tensor, tl.Tensor];

// What a layer gives follows from its kind.
expectTypeOf(tl.Dense(4)(x)).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.Attention(8)([x, x])).toEqualTypeOf<Two>();
expectTypeOf(tl.Dup()).toEqualTypeOf<tl.Layer<Two, 1>>();
expectTypeOf(tl.Drop()).toEqualTypeOf<tl.Layer<[], 1>>();
expectTypeOf(tl.L2Loss()).toEqualTypeOf<tl.Layer<tl.Tensor, 3>>();
expectTypeOf(tl.Dense(4).outputSignature(tl.signature(x))).toEqualTypeOf<tl.Signature>();
expectTypeOf(tl.Dup().outputSignature(tl.signature(x))).toEqualTypeOf<[tl.Signature, tl.Signature]>();
// @ts-expect-error: one tensor is no array
void tl.Dense(4)(x).length;
// @ts-expect-error: two tensors are no tensor
void tl.Dup()(x).shape;

// It follows from the options where they decide.
expectTypeOf(tl.LSTM(4)).toEqualTypeOf<One>();
expectTypeOf(tl.LSTM(4, { mode: 'eval', returnState: false })).toEqualTypeOf<One>();
expectTypeOf(tl.LSTM(4, { returnState: true })).toEqualTypeOf<tl.Layer>();
expectTypeOf(tl.Concatenate()).toEqualTypeOf<tl.Layer<tl.Tensor, 2>>();
expectTypeOf(tl.SelfAttention({ masked: true })).toEqualTypeOf<tl.Layer<tl.Tensor, number>>();
expectTypeOf(tl.Select([1, 0, 1])).toEqualTypeOf<tl.Layer<[tl.Tensor, tl.Tensor, tl.Tensor], 2>>();
expectTypeOf(tl.Select([0], { nIn: 3 })).toEqualTypeOf<tl.Layer<tl.Tensor>>();

// Combinators follow the data stack.
expectTypeOf(tl.Serial(tl.Dense(4), [tl.Relu(), [tl.Tanh()]])).toEqualTypeOf<One>();
expectTypeOf(tl.Serial(tl.Dup(), tl.Dense(4))).toEqualTypeOf<tl.Layer<Two, 1>>();
expectTypeOf(tl.Serial(tl.Dup(), tl.Dense(4), tl.Add())).toEqualTypeOf<One>();
expectTypeOf(tl.Serial(tl.Add(), tl.Multiply())).toEqualTypeOf<tl.Layer<tl.Tensor, 3>>();
expectTypeOf(tl.Serial(tl.Dense(4), tl.Drop())).toEqualTypeOf<tl.Layer<[], 1>>();
expectTypeOf(tl.Serial(tl.Dense(4), tl.CategoryCrossEntropy())).toEqualTypeOf<tl.Layer<tl.Tensor, 2>>();
expectTypeOf(tl.Serial(tl.Dense(4), ...Array.from({ length: 3 }, () => tl.Relu()))).toEqualTypeOf<One>();
expectTypeOf(tl.Serial(...Array.from({ length: 3 }, () => tl.Relu()), tl.Dense(4))).toEqualTypeOf<One>();
expectTypeOf(tl.Branch(tl.Dense(4), null)).toEqualTypeOf<tl.Layer<Two, 1>>();
expectTypeOf(tl.Branch(tl.Add(), tl.Relu())).toEqualTypeOf<tl.Layer<Two, 2>>();
expectTypeOf(tl.Parallel(tl.Add(), tl.Relu())).toEqualTypeOf<tl.Layer<Two, 3>>();
expectTypeOf(tl.Residual(tl.LayerNorm(), tl.Dense(4))).toEqualTypeOf<One>();
expectTypeOf(tl.Accelerate(tl.Add(), { nDevices: 2 })).toEqualTypeOf<tl.Layer<tl.Tensor, 2>>();

// Where a part does not say it, nothing is promised.
const unknown: tl.Layer = tl.Dense(4);
expectTypeOf(unknown(x)).toEqualTypeOf<tl.Tensor | tl.Tensor[]>();
expectTypeOf(tl.Serial(tl.Dense(4), unknown)).toEqualTypeOf<tl.Layer>();
expectTypeOf(tl.Serial(tl.Dense(4), ...Array.from({ length: 2 }, () => tl.Dup()))).toEqualTypeOf<tl.Layer>();
// @ts-expect-error: it may be several
void unknown(x).shape;
const y = unknown(x);
if (Array.isArray(y)) expectTypeOf(y).toEqualTypeOf<tl.Tensor[]>();
else expectTypeOf(y).toEqualTypeOf<tl.Tensor>();
if (tl.hasArity(unknown, 1, 1)) expectTypeOf(unknown(x)).toEqualTypeOf<tl.Tensor>();
// @ts-expect-error: an unknown arity is not one for one
const narrow: One = unknown;
void narrow;
const wide: tl.Layer = tl.Dup();
void wide;

// Functions and classes say it by their types.
expectTypeOf(tl.Fn('Double', (a: tl.Tensor) => a.mul(2))).toEqualTypeOf<One>();
expectTypeOf(tl.Fn('Both', (a: tl.Tensor, b: tl.Tensor) => [a, b])).toEqualTypeOf<tl.Layer<Two, 2>>();
expectTypeOf(tl.Fn('Some', (a: tl.Tensor): tl.Tensor[] => [a])).toEqualTypeOf<tl.Layer<tl.LayerOutputs, 1>>();

class Shift extends tl.Layer<tl.Tensor, 1> {
  declare weights: tl.Tensor;
  override initWeightsAndState(signature: tl.Signature): void {
    this.weights = tl.zeros(signature.shape);
  }
  override forward(input: tl.Tensor): tl.Tensor {
    return input.add(this.weights);
  }
}
expectTypeOf(new Shift()(x)).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.Serial(new Shift(), tl.Dense(4))).toEqualTypeOf<One>();

export class Pair extends tl.Layer<Two, 1> {
  // @ts-expect-error: two tensors are promised
  override forward(input: tl.Tensor): tl.Tensor {
    return input;
  }
}

// Weights and state are trees of tensors.
const dense = tl.Dense(4);
expectTypeOf(tl.tree.leaves(dense.weights)).toEqualTypeOf<tl.Tensor[]>();
expectTypeOf(tl.tree.map((w) => w.shape.length, dense.weights)).toEqualTypeOf<tl.Tree<number>>();
expectTypeOf(dense.pureFn(x, dense.weights, dense.state)).toEqualTypeOf<[outputs: tl.Tensor, newState: tl.Nest]>();
dense.weights = tl.tree.map((w) => w.mul(2), dense.weights);
dense.weights = [[[1.5, 2.5]], new Float32Array(2)];
// @ts-expect-error: no tree of tensors
dense.weights = new Date();
// @ts-expect-error: a tree is no tensor
void dense.weights.shape;

// Functions of the modules say what they return.
expectTypeOf(tl.oneHot(x, 3)).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.shard([x, x])).toEqualTypeOf<tl.Tensor[]>();
expectTypeOf(tl.attend(x, { v: x })).toEqualTypeOf<[outputs: tl.Tensor, logSumExps: tl.Tensor]>();
