import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { COPIED, copying, PROMPT } from './decoding/support.js';
import { dice } from './support/hostile.js';
import { one } from './support/values.js';

const IDS: tl.Signature = { shape: [1, 6], dtype: 'int32' };

/** A language model whose matrices are large enough. */
function languageModel(mode: tl.Mode = 'train'): tl.Layer<tl.Tensor> {
  return tl.models.TransformerLM(50, { dModel: 32, dFf: 64, nHeads: 2, nLayers: 2, maxLen: 40, mode });
}

function ready(mode: tl.Mode = 'train'): tl.Layer<tl.Tensor> {
  const model = languageModel(mode);
  model.init(IDS, { rng: tl.random.key(3) });
  return model;
}

const ids = (): tl.Tensor => tl.random.randint(tl.random.key(1), [3, 6], 0, 50);

/** Options of a request that differs from others. */
const options = (i: number) => ({ temperature: 0.9, topK: 20, maxTokens: 3 + (i % 9), rng: tl.random.key(i) });

const rows = (n: number): tl.Signature => ({ shape: [1, n], dtype: 'float32' });

/** Bytes of a model that takes such inputs. */
const bytes = (model: tl.Layer, inputs: tl.Signature = IDS): number => tl.summary(model, inputs).bytes;

/** The largest difference. */
const apart = (a: tl.Tensor, b: tl.Tensor): number => a.sub(b).abs().max().item();

function inFolder(f: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-quantize-'));
  try {
    f(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('a copy computes nearly the same, in eval mode, and the model stays as it is', (t) => {
  const model = ready();
  const exact = model.withMode('eval')(ids());
  for (const [dtype, most] of [
    ['int8', 0.1],
    ['bfloat16', 0.05],
  ] as const) {
    const small = model.quantize(dtype);
    t.is(small.mode, 'eval');
    const off = apart(small(ids()), exact);
    t.true(off > 0 && off < most, `${dtype}: ${off}`);
    t.is(small.name, model.name);
    t.is(`${small}`, `${model}`);
  }
  t.deepEqual(model.withMode('eval')(ids()).array(), exact.array());
  t.is(model.mode, 'train');
  t.is(ready('predict').quantize('int8').mode, 'predict');
});

test('weights are shown in float32, in the same tree and with the same names', (t) => {
  const model = ready();
  const small = model.quantize('bfloat16');
  const [ours, theirs] = [small.weights, model.weights].map((weights) => tl.tree.leaves(weights));
  t.deepEqual(
    ours!.map((w) => [w.shape, w.dtype]),
    theirs!.map((w) => [w.shape, w.dtype]),
  );
  // Positions, of which there are 40, are added and not multiplied by.
  const rounded = theirs!.map((w) =>
    w.shape.length === 2 && w.shape[0] !== 40 && w.size >= 1024 ? w.cast('bfloat16').cast('float32') : w,
  );
  t.deepEqual(
    ours!.map((w) => w.array()),
    rounded.map((w) => w.array()),
  );
  t.deepEqual(small.weightNames, model.weightNames);
  // The scale of an int8 weight is that of its output: the largest of a column is exact.
  const dense = tl.Dense(64);
  dense.init({ shape: [1, 32], dtype: 'float32' });
  const [w] = tl.tree.leaves(dense.weights);
  const [q] = tl.tree.leaves(dense.quantize('int8').weights);
  t.true(apart(q!.abs().max({ axis: 0 }), w!.abs().max({ axis: 0 })) < 1e-6);
});

test('it takes less memory, and a summary says so', (t) => {
  const before = tl.memory().bytes;
  const small = tl.tidy(() => {
    const model = tl.Dense(512);
    model.init({ shape: [1, 512], dtype: 'float32' });
    return model.quantize('int8');
  });
  t.true(tl.memory().bytes - before < 512 * 513 * 4 * 0.26);
  t.is(small.isDisposed, false);
  const whole = bytes(ready('eval'));
  t.true(bytes(ready('eval').quantize('int8')) < whole * 0.4);
  t.true(bytes(ready('eval').quantize('bfloat16')) < whole * 0.6);
  const dense = tl.Dense(64);
  dense.init({ shape: [1, 64], dtype: 'float32' });
  t.is(bytes(dense, rows(64)), 4 * 64 * 65);
  // A byte for each of 64 · 64 weights, a scale and a bias for each output.
  t.is(bytes(dense.quantize('int8'), rows(64)), 64 * 64 + 4 * 64 + 4 * 64);
  t.is(bytes(dense.quantize('bfloat16'), rows(64)), 2 * 64 * 64 + 4 * 64);
  t.is(tl.summary(dense.quantize('int8'), rows(64)).weights, 64 * 65);
});

/** Recurrent layers, and a convolution. */
const recurrent = (mode: tl.Mode): tl.Layer<tl.Tensor> =>
  tl.Serial(
    tl.Embedding(50, 40),
    tl.LSTM(40, { mode }),
    tl.GRU(40, { mode }),
    tl.SRU(40, { mode }),
    tl.CausalConv(40, { mode }),
    tl.Dense(50),
  ) as tl.Layer<tl.Tensor>;

test('recurrent layers are quantized, computed alike step by step, and kept in files', (t) => {
  const model = recurrent('eval');
  model.init(IDS, { rng: tl.random.key(3) });
  const exact = model(ids());
  for (const [dtype, most] of [
    ['int8', 0.03],
    ['bfloat16', 0.01],
  ] as const) {
    const small = model.quantize(dtype);
    const y = small(ids());
    const off = apart(y, exact);
    t.true(off > 0 && off < most, `${dtype}: ${off}`);
    const next = small.withMode('predict');
    next.init({ shape: [3, 1], dtype: 'int32' });
    const steps = Array.from({ length: 6 }, (_, at) => one(next(ids().slice([0, at], [3, at + 1]))));
    t.true(apart(tl.concat(steps, 1), y) < 1e-6);
    // Who asks is told what is held how, and what is not.
    const { rows: told } = tl.summary(small, IDS);
    const held = (name: string): (string | null)[] =>
      told.filter((row) => row.name === name).map((row) => row.quantized);
    for (const name of ['Embedding_50_40', 'LSTMCell', 'GRUCell', 'Dense_50']) t.deepEqual(held(name), [dtype], name);
    t.deepEqual(held('CausalConv'), [null]);
    t.regex(`${tl.summary(small, IDS)}`, new RegExp(`bytes +matrices\\n[^]* {2}Dense_50 .* ${dtype}\\n`));
    t.notRegex(`${tl.summary(model, IDS)}`, /matrices/);
    inFolder((folder) => {
      const file = join(folder, dtype);
      small.saveToFile(file, { inputSignature: IDS });
      const again = recurrent('eval');
      again.initFromFile(file);
      t.deepEqual(again(ids()).array(), y.array());
    });
  }
});

test('a file keeps what weights are held in, and gives the same bits', (t) => {
  inFolder((folder) => {
    const model = ready('eval');
    model.saveToFile(join(folder, 'whole'), { weightsOnly: true });
    for (const dtype of ['int8', 'bfloat16'] as const) {
      const file = join(folder, dtype);
      const small = model.quantize(dtype);
      small.saveToFile(file, { inputSignature: IDS });
      t.true(statSync(file).size < statSync(join(folder, 'whole')).size * (dtype === 'int8' ? 0.5 : 0.7));
      const expected = small(ids()).array();
      // Into a fresh model, one that holds float32, and one that is quantized.
      for (const again of [languageModel('eval'), ready('eval'), ready('eval').quantize('int8')]) {
        again.initFromFile(file);
        t.deepEqual(again(ids()).array(), expected);
        t.throws(() => again.quantize(dtype), { code: 'InvalidArgument' });
      }
      const held = tl.loadSafetensors(file);
      const kernel = Object.keys(held).find((name) => name.startsWith('weights/') && name.endsWith('Dense_64/0'))!;
      t.deepEqual(held[kernel]!.dtype, dtype === 'int8' ? 'int32' : 'bfloat16');
      const scales = held[kernel.replace('weights', 'scales')];
      t.deepEqual(scales?.shape, dtype === 'int8' ? [64] : undefined);
    }
  });
});

test('a copy that reads float32 weights quantizes them', (t) => {
  inFolder((folder) => {
    const model = ready('eval');
    const file = join(folder, 'whole');
    model.saveToFile(file, { weightsOnly: true });
    const other = languageModel('eval');
    other.init(IDS, { rng: tl.random.key(9) });
    const small = other.quantize('int8');
    small.initFromFile(file, { weightsOnly: true });
    t.deepEqual(small(ids()).array(), model.quantize('int8')(ids()).array());
    t.deepEqual(tl.summary(small, IDS).bytes, tl.summary(model.quantize('int8'), IDS).bytes);
  });
});

test('a part of a file of quantized weights goes into a model', (t) => {
  inFolder((folder) => {
    const file = join(folder, 'dense');
    const dense = tl.Dense(64);
    dense.init({ shape: [1, 32], dtype: 'float32' });
    const small = dense.quantize('int8');
    small.saveToFile(file, { weightsOnly: true });
    const model = tl.Serial(tl.Dense(32), tl.Dense(64));
    model.init({ shape: [1, 32], dtype: 'float32' }, { rng: tl.random.key(4) });
    model.initFromFile(file, { into: '1.Dense_64', weightsOnly: true });
    t.deepEqual(
      tl.tree
        .leaves(model.weights)
        .slice(2)
        .map((w) => w.array()),
      tl.tree.leaves(small.weights).map((w) => w.array()),
    );
    small.saveToFile(file, { weights: '1' });
    t.deepEqual(Object.keys(tl.loadSafetensors(file)), ['weights/1']);
  });
});

test('a shared layer stays shared, and a tied output is that of the quantized embedding', (t) => {
  const dense = tl.Dense(40);
  const model = tl.Serial(dense, tl.Relu(), dense);
  model.init({ shape: [2, 40], dtype: 'float32' });
  const small = model.quantize('int8');
  t.is(tl.tree.leaves(small.weights).length, 2);
  t.is(bytes(small, rows(40)), 40 * 48 + 4 * 40 + 4 * 40);

  const embedding = tl.Embedding(60, 32);
  const tied = tl.Serial(embedding, tl.TiedDense(embedding));
  tied.init(IDS);
  const [table] = tl.tree.leaves(tied.quantize('int8').weights);
  const some = tl.tensor([[5, 59, 0]]);
  const expected = table!.take(some, { axis: 0 }).matmul(table!.transpose());
  t.true(apart(tied.quantize('int8')(some), expected) < 1e-5);
});

test('a class and its layers are quantized', (t) => {
  class Block extends tl.Layer<tl.Tensor, 1> {
    readonly dense = tl.Dense(48);
    override forward(x: tl.Tensor) {
      return this.dense(x).mul(2);
    }
  }
  const model = tl.Serial(new Block(), tl.Dense(32));
  model.init({ shape: [1, 32], dtype: 'float32' });
  const x = tl.random.normal(tl.random.key(0), [3, 32]);
  const off = apart(model.quantize('int8')(x), model(x));
  t.true(off > 0 && off < 0.1, `${off}`);
});

test('the model that learnt to copy still does', async (t) => {
  const greedy = { temperature: 0, maxTokens: COPIED.length, startId: 0 };
  const prompt = PROMPT.slice(1);
  const exact = await tl.decoding.sample(copying(), prompt, greedy);
  for (const dtype of ['int8', 'bfloat16'] as const) {
    const out = await tl.decoding.sample(copying().quantize(dtype), prompt, greedy);
    t.deepEqual(out.tokens, exact.tokens);
  }
});

test.serial(
  'outputs are the same bits alone and in any batch, over random schedules, on 1, 2 and 4 threads',
  async (t) => {
    const [before, below] = [tl.numThreads(), dice(5)];
    const prompts = Array.from({ length: 16 }, () => Array.from({ length: 1 + below(9) }, () => below(50)));
    const write = async (from: tl.decoding.Decoder, i: number) => {
      const out: (readonly [number, number])[] = [];
      for await (const { token, logProb } of from.generate(prompts[i]!, options(i))) out.push([token, logProb]);
      return out;
    };
    for (const dtype of ['int8', 'bfloat16'] as const) {
      const decoder = new tl.decoding.Decoder(ready('eval').quantize(dtype));
      const alone: (readonly [number, number])[][] = [];
      for (const i of prompts.keys()) alone.push(await write(decoder, i));
      for (let schedule = 0; schedule < 150; schedule += 1) {
        tl.setNumThreads([1, 2, 4][schedule % 3]!);
        const asked: Promise<(readonly [number, number])[]>[] = [];
        const which: number[] = [];
        for (let n = 2 + below(10); n > 0; n -= 1) {
          which.push(below(prompts.length));
          asked.push(write(decoder, which.at(-1)!));
          // Some join while others are under way.
          if (below(3) === 0) await new Promise((resolve) => void setImmediate(resolve));
        }
        const together = await Promise.all(asked);
        t.deepEqual(
          together,
          which.map((i) => alone[i]!),
          `${dtype}, schedule ${schedule}`,
        );
      }
    }
    tl.setNumThreads(before);
  },
);

test('what needs float32 weights is refused, with the way out', (t) => {
  const model = ready();
  const small = model.quantize('int8');
  const refused = {
    code: 'InvalidArgument',
    message: /needs float32 weights.*quantized.*call quantize on that again/s,
  };
  const withLoss = tl.Serial(small, tl.CategoryCrossEntropy());
  t.throws(() => new tl.Trainer(withLoss, tl.optimizers.SGD()), refused);
  t.throws(() => small.withMode('train'), refused);
  t.throws(() => small.init(IDS), refused);
  t.throws(() => {
    small.weights = model.weights;
  }, refused);
  t.throws(() => small(ids(), { weights: model.weights }), refused);
  t.throws(() => small.pureFn(ids(), model.weights, small.state), refused);
  t.throws(() => tl.checkGradients(small, [ids()]), refused);
  t.throws(() => small.quantize('bfloat16'), refused);
  // A gradient with respect to inputs is there.
  const dense = tl.Dense(40);
  dense.init({ shape: [1, 40], dtype: 'float32' });
  const few = dense.quantize('bfloat16');
  const gradient = tl.grad((x: tl.Tensor) => few(x).sum())(tl.ones([1, 40]));
  t.true(apart(gradient, tl.tree.leaves(few.weights)[0]!.sum({ axis: 1 })) < 1e-4);
});

test('bad arguments are refused in words', (t) => {
  const model = ready();
  // @ts-expect-error -- no such type
  t.throws(() => model.quantize('int4'), {
    code: 'InvalidOption',
    message: /quantize: `dtype` must be 'int8' or 'bfloat16', got "int4"/,
  });
  // @ts-expect-error -- no text
  t.throws(() => model.quantize(8), { message: /quantize: dtype must be/ });
  t.throws(() => languageModel().quantize('int8'), { code: 'NotInitialized', message: /call init/ });
  const dense = tl.Dense(40);
  dense.init({ shape: [1, 40], dtype: 'float32' });
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    dense.weights = [tl.full([40, 40], bad), tl.zeros([40])];
    t.throws(() => tl.Serial(dense).quantize('int8'), { code: 'NotFinite', message: /Dense_40.*\[0, 0\]/ });
  }
  dense.weights = [tl.zeros([40, 40]), tl.ones([40])];
  for (const dtype of ['int8', 'bfloat16'] as const) {
    t.deepEqual(
      dense
        .quantize(dtype)(tl.ones([1, 40]))
        .array(),
      tl.ones([1, 40]).array(),
    );
  }
});
