/** State in mode `'predict'`: its size, its limits, how it is read, set and begun anew. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { several } from '../support/values.js';
import { tensorOf } from '../support/types.js';

/** A small language model in predict mode, with its weights in eval mode. */
function languageModel(maxLen: number) {
  const options = { dModel: 8, dFf: 16, nHeads: 2, nLayers: 2, maxLen, dropout: 0 };
  const model = tl.models.TransformerLM(11, { ...options, mode: 'eval' });
  model.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(3) });
  return model;
}

test('a model reads as many positions as its maximum says, and refuses the next', (t) => {
  for (const maxLen of [5, 2060]) {
    const writer = languageModel(maxLen).withMode('predict');
    writer(tl.zeros([1, maxLen - 1], { dtype: 'int32' }));
    t.deepEqual(writer([[7]]).shape, [1, 1, 11]);
    const error = t.throws(() => writer([[7]]), { instanceOf: tl.LayerError, code: 'InvalidArgument' });
    t.regex(error?.message ?? '', new RegExp(`positions up to ${maxLen + 1} are needed, but maxLen is ${maxLen}`));
    const whole = languageModel(maxLen).withMode('predict');
    t.throws(() => whole(tl.zeros([1, maxLen + 1], { dtype: 'int32' })), {
      code: 'InvalidArgument',
      message: /but maxLen is/,
    });
    // The refused position was not read.
    const again = t.throws(() => writer([[7]]), { instanceOf: tl.LayerError });
    t.regex(again?.message ?? '', new RegExp(`positions up to ${maxLen + 1} are needed`));
  }
});

test('state can be read and set before the first call', (t) => {
  const model = languageModel(16);
  const [first, second] = [model.withMode('predict'), model.withMode('predict')];
  const start = tl.tree.leaves(first.state).map((leaf) => leaf.shape);
  t.true(start.some((shape) => shape.length === 3));
  const beginning = first.state;
  first([[1, 2, 3]]);
  const read = first.state;
  const expected = first([[4]]).array();
  second.state = read;
  t.deepEqual(second([[4]]).array(), expected);
  // And back to the beginning.
  second.state = beginning;
  second([[1, 2, 3]]);
  t.deepEqual(second([[4]]).array(), expected);
});

test('to initialize a copy in predict mode begins anew and leaves the shared weights as they are', (t) => {
  const model = languageModel(16);
  const before = tl.tree.leaves(model.weights).map((w) => w.array());
  const writer = model.withMode('predict');
  const expected = writer([[1, 2]]).array();
  t.notDeepEqual(writer([[1, 2]]).array(), expected);
  writer.init({ shape: [1, 2], dtype: 'int32' }, { rng: tl.random.key(9) });
  t.deepEqual(writer([[1, 2]]).array(), expected);
  t.deepEqual(
    tl.tree.leaves(model.weights).map((w) => w.array()),
    before,
  );
});

test('the second source of a Transformer is answered with its own encoding', (t) => {
  const options = { dModel: 8, dFf: 16, nHeads: 2, nEncoderLayers: 1, nDecoderLayers: 1, maxLen: 16, dropout: 0 };
  const model = tl.models.Transformer(11, { ...options, mode: 'eval' });
  const [source, other, target] = [[[1, 2, 3]], [[4, 5, 6]], [[0]]];
  model.init(
    [
      { shape: [1, 3], dtype: 'int32' },
      { shape: [1, 1], dtype: 'int32' },
    ],
    { rng: tl.random.key(1) },
  );
  const answer = (translator: typeof model, of: number[][]) => {
    const [logits] = several(translator([of, target]));
    return tensorOf(logits).array();
  };
  const expected = answer(model.withMode('predict'), other);
  const translator = model.withMode('predict');
  const first = answer(translator, source);
  t.notDeepEqual(first, expected);
  translator.init([
    { shape: [1, 3], dtype: 'int32' },
    { shape: [1, 1], dtype: 'int32' },
  ]);
  t.deepEqual(answer(translator, other), expected);
});

test('a cache takes memory for what is filled', (t) => {
  const model = languageModel(2048);
  const writer = model.withMode('predict');
  const before = tl.memory().bytes;
  writer([[1, 2, 3]]).dispose();
  // Two layers, keys and values of two heads: a block of 64 positions each, where 2,048 were taken before.
  t.true(tl.memory().bytes - before < 2 * (64 * 16 * 4) * 2);
});
