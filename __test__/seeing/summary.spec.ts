import { inspect } from 'node:util';
import test from 'ava';
import * as tl from '../../src/index.js';
import { f32 } from '../support/values.js';
import { tensorOf } from '../support/types.js';

test('a model is summed up before it is initialized, shared layers once', (t) => {
  const shared = tl.Dense(3);
  const model = tl.Serial(shared, tl.Dup(), tl.Serial(shared, tl.Softmax()), tl.Add());
  const before = tl.memory().bytes;
  const seen = tl.summary(model, f32([2, 3]));
  t.is(tl.memory().bytes, before);
  t.deepEqual(
    seen.rows.map(({ path, height, weights, shared: isShared }) => [path, height, weights, isShared]),
    [
      ['', 1, 12, false],
      ['0.Dense_3', 1, 12, false],
      ['1.Dup', 2, 0, false],
      ['2.Serial', 2, 0, false],
      ['2.Serial/0.Dense_3', 2, 0, true],
      ['2.Serial/1.Softmax', 2, 0, false],
      ['3.Add', 1, 0, false],
    ],
  );
  t.deepEqual([seen.weights, seen.trainable, seen.bytes], [12, 12, 48]);
  t.deepEqual(seen.rows[1]?.inputs, [f32([2, 3])]);
  t.deepEqual(seen.rows[2]?.outputs, [f32([2, 3]), f32([2, 3])]);
  t.throws(() => model(tl.ones([2, 3])), { message: /NotInitialized/ });
});

test('it is a table', (t) => {
  const model = tl.Serial(tl.Dense(64), tl.Softmax(), tl.Dense(10));
  const text = [
    'layer              output  stack  weights  bytes',
    '────────────────────────────────────────────────',
    'Serial      float32[8,10]      1   50,890  204 kB',
    '  Dense_64  float32[8,64]      1   50,240  201 kB',
    '  Softmax   float32[8,64]      1        0    0 B',
    '  Dense_10  float32[8,10]      1      650  2.6 kB',
    '────────────────────────────────────────────────',
    'total       50,890 trainable           50,890  204 kB',
  ];
  const shown = `${tl.summary(model, f32([8, 784]))}`.split('\n');
  // The foot may be wider than the rest: columns are as wide as their widest cell.
  t.deepEqual(
    shown.map((line) => line.replaceAll(/ +/g, ' ').replaceAll(/─+/g, '─')),
    text.map((line) => line.replaceAll(/ +/g, ' ').replaceAll(/─+/g, '─')),
  );
  t.is(new Set(shown.map((line) => line.length)).size, 1, 'all rows end in one column');
  t.is(inspect(tl.summary(model, f32([8, 784]))), shown.join('\n'));
});

test('state, whole numbers and classes of JavaScript count too', (t) => {
  class Block extends tl.Layer<tl.Tensor> {
    readonly inner = [tl.Dense(4), tl.BatchNorm({ axis: 0 })];
    override forward(x: tl.Tensor): tl.Tensor {
      return this.inner.reduce((y, layer) => tensorOf(layer(y)), x);
    }
  }
  const seen = tl.summary(tl.Serial(new Block(), tl.Softmax()), f32([2, 3]));
  t.deepEqual(
    seen.rows.map(({ path }) => path),
    ['', '0.Block', '0.Block/0.Dense_4', '0.Block/1.BatchNorm', '1.Softmax'],
  );
  t.is(seen.rows[2]?.weights, 16);
  // Two vectors of weights; two of state, and a count.
  t.is(seen.rows[3]?.weights, 8);
  t.true(seen.rows[3]!.bytes > 4 * 16, `${seen.rows[3]?.bytes}`);
});

test('parts without a name are rows, but not shown', (t) => {
  const seen = tl.summary(tl.Relu(), f32([2]));
  t.deepEqual(
    seen.rows.map(({ name }) => name),
    ['Serial', '', 'Relu', ''],
  );
  t.is(`${seen}`.split('\n').length, 6);
});

test('vast models take no memory', (t) => {
  const model = tl.Serial(tl.Dense(2 ** 20), tl.Dense(2 ** 20));
  t.is(tl.summary(model, f32([1, 2 ** 18])).weights, 2 ** 38 + 2 ** 40 + 2 ** 21);
});

test('every model that there is can be summed up, and holds what it says', (t) => {
  const ids = { shape: [2, 64], dtype: 'int32' } as const;
  const models: Readonly<Record<string, readonly [tl.Layer, tl.Signature | readonly tl.Signature[]]>> = {
    TransformerLM: [tl.models.TransformerLM(13, { dModel: 8, dFf: 16, nHeads: 2, nLayers: 2, maxLen: 64 }), ids],
    ReformerLM: [
      tl.models.ReformerLM(13, {
        dModel: 8,
        dFf: 16,
        nHeads: 2,
        nLayers: 2,
        maxLen: 64,
        dAttentionKey: 4,
        dAttentionValue: 4,
      }),
      ids,
    ],
    MLP: [tl.models.MLP(), f32([4, 28])],
  };
  for (const [name, [model, inputs]] of Object.entries(models)) {
    const seen = tl.summary(model, inputs);
    model.init(inputs, { rng: tl.random.key(0) });
    const held = tl.tree.leaves(model.weights as tl.Tree<tl.Tensor>).filter((leaf) => leaf instanceof tl.Tensor);
    t.is(
      seen.weights,
      held.reduce((sum, leaf) => sum + leaf.size, 0),
      name,
    );
    t.deepEqual(seen.rows[0]?.outputs, [model.outputSignature(inputs)].flat(), name);
  }
});

test('wrong arguments are refused as `init` refuses them', (t) => {
  const error = t.throws(() => tl.summary(tl.Serial(tl.Dense(2), tl.Flatten({ nAxesToKeep: 4 })), f32([1, 3])), {
    instanceOf: tl.LayerError,
  });
  t.deepEqual([error.code, error.path], ['ShapeMismatch', ['Serial', 'Flatten_keep4']]);
  // @ts-expect-error a layer is wanted
  t.throws(() => tl.summary('Dense', f32([1])), { instanceOf: TypeError, message: /summary: layer must be a layer/ });
  // @ts-expect-error a signature is wanted
  t.throws(() => tl.summary(tl.Softmax(), [[1, 2]]), { instanceOf: TypeError, message: /a signature is/ });
});

test('depth leaves out what lies deeper, and totals stay', (t) => {
  const model = tl.Serial(tl.Dense(4), tl.Serial(tl.Dense(3), tl.Serial(tl.Dense(2))));
  const names = (depth?: number): string[] => tl.summary(model, f32([2, 3]), { depth }).rows.map(({ name }) => name);
  t.deepEqual(names(0), ['Serial']);
  t.deepEqual(names(1), ['Serial', 'Dense_4', 'Serial']);
  t.deepEqual(names(2), ['Serial', 'Dense_4', 'Serial', 'Dense_3', 'Serial']);
  t.deepEqual(names(9), names());
  t.is(tl.summary(model, f32([2, 3]), { depth: 0 }).weights, 4 * 3 + 4 + 4 * 3 + 3 + 3 * 2 + 2);
  for (const depth of [-1, 1.5, NaN])
    t.throws(() => tl.summary(model, f32([2, 3]), { depth }), {
      instanceOf: RangeError,
      message: `summary: \`depth\` must be a whole number of at least 0, got ${depth}`,
    });
  // @ts-expect-error -- callers without types
  t.throws(() => tl.summary(model, f32([2, 3]), { deep: 1 }), {
    instanceOf: TypeError,
    message: /unknown option `deep`/,
  });
});
