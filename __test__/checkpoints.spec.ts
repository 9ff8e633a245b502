/** Files that Trax wrote. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../src/index.js';
import { SafeTensors } from './support/safetensors.js';
import { close, f32, values, one } from './support/values.js';
import { instanceOf, tensorsOf, treesOf } from './support/types.js';

const folder = join(__dirname, 'checkpoints');
const file = (name: string): string => join(folder, name);

/** A path in a folder of the test's own. */
function scratch(t: ExecutionContext, name: string): string {
  const own = mkdtempSync(join(tmpdir(), 'tallow-'));
  t.teardown(() => rmSync(own, { recursive: true }));
  return join(own, name);
}

const language = (options: tl.models.TransformerLMOptions = {}): tl.Layer =>
  tl.models.TransformerLM(13, {
    dModel: 64,
    dFf: 128,
    dropout: 0.05,
    maxLen: 256,
    nHeads: 2,
    nLayers: 2,
    mode: 'eval',
    ...options,
  });

const body = (mode: tl.Mode = 'train'): tl.Layer =>
  tl.Serial(
    tl.Dense(3),
    tl.BatchNorm({ axis: [0], mode }),
    tl.Dropout({ rate: 0.1, mode }),
    tl.Dense(2, { useBfloat16: true }),
  );

test('a language model that Trax trained answers what it answered there', (t) => {
  const reference = new SafeTensors(file('transformerlm_copy.safetensors'));
  const model = language();
  const [weights] = model.initFromFile(file('transformerlm_copy.pkl.gz'));
  t.is(tl.tree.leaves(weights).length, 38);
  // What the file calls so are the model's outputs as they are, not normalized.
  close(t, one(model(reference.tensor('inputs').cast('int32'))), reference.tensor('log_probs').array(), 1e-4);
});

test('the state comes with the weights, or stays', (t) => {
  const model = language({ mode: 'train', dropout: 0.5 });
  const rates = (): unknown[] => tl.tree.leaves(model.state).map((s) => s.item());
  model.initFromFile(file('transformerlm_copy.pkl.gz'), { weightsOnly: true });
  t.deepEqual(new Set(rates()), new Set([0.5]));
  const before = values(model.weights);
  model.initFromFile(file('transformerlm_copy.pkl.gz'));
  t.deepEqual(new Set(rates()), new Set([Math.fround(0.05)]));
  t.deepEqual(values(model.weights), before);
});

test('what saveToFile of Trax wrote, with arrays of JAX and bfloat16', (t) => {
  const layer = body();
  layer.initFromFile(file('layer.pkl.gz'));
  const [, [mean, variance, count], rate] = layer.state as [unknown, [tl.Tensor, tl.Tensor, tl.Tensor], tl.Tensor];
  close(t, mean, [[-0.0032887, -0.0005519, -0.00290419]]);
  close(t, variance, [[1.0035018, 0.99939954, 1.0012304]]);
  t.deepEqual([count.item(), rate.item()], [1, Math.fround(0.1)]);
  const kernel = tensorsOf(treesOf(layer.weights)[3]!)[0]!;
  t.deepEqual([kernel.dtype, kernel.shape], ['bfloat16', [3, 2]]);
  const fresh = body();
  t.throws(() => fresh.initFromFile(file('weights_only.pkl.gz')), { code: 'NotInitialized' });
  t.throws(() => fresh.initFromFile(file('weights_only.pkl.gz'), { inputSignature: f32([4, 2]) }), {
    code: 'WeightsMismatch',
    message: /no state/,
  });
  t.deepEqual(tl.tree.leaves(fresh.weights), [], 'an attempt that fails leaves nothing');
  fresh.initFromFile(file('weights_only.pkl.gz'), { inputSignature: f32([4, 2]), weightsOnly: true });
  t.deepEqual(values(fresh.weights), values(layer.weights));
});

test('a checkpoint of a training loop, whose weights lie beside it', (t) => {
  const layer = tl.Serial(
    tl.Dense(3, { useBfloat16: true }),
    tl.BatchNorm({ axis: [0], mode: 'eval' }),
    tl.Dropout({ rate: 0.1, mode: 'eval' }),
    tl.Dense(2),
  );
  layer.initFromFile(file('loop.pkl.gz'));
  t.is(tensorsOf(treesOf(layer.weights)[0]!)[0]!.dtype, 'bfloat16');
  const x = tl.arange(8).reshape([4, 2]).cast('float32').div(4);
  close(
    t,
    layer(x),
    [
      [-0.06602988, 0.00282432],
      [-0.47352728, 0.03231406],
      [-0.88102466, 0.06180382],
      [-1.28852201, 0.09129358],
    ],
    1e-5,
  );
  const alone = scratch(t, 'model.pkl.gz');
  copyFileSync(file('loop.pkl.gz'), alone);
  t.throws(() => layer.initFromFile(alone), { code: 'Io', message: /model\.pkl\.gz\.npy/ });
  copyFileSync(file('loop.weights.npy.gz'), alone.replace('pkl.gz', 'weights.npy.gz'));
  layer.initFromFile(alone);
});

test('a checkpoint of another model is refused, with the layer that it does not fit', (t) => {
  const path = file('transformerlm_copy.pkl.gz');
  const refused = (options: tl.models.TransformerLMOptions, message: RegExp): void => {
    const model = language(options);
    t.throws(() => model.initFromFile(path), { instanceOf: tl.LayerError, code: 'WeightsMismatch', message });
    t.deepEqual(tl.tree.leaves(model.weights), []);
  };
  refused(
    { dFf: 96 },
    /weights\/\S*1\.Dense_96\/0 is float32\[64,96\] in the model, but float32\[64,128\] stands in its place in the file/,
  );
  refused({ nLayers: 1 }, /weights\/\S*LayerNorm|in the model/);
  refused({ nLayers: 3 }, /weights\/\S* is float32/);
  t.throws(() => tl.Serial(tl.Dense(3), tl.BatchNorm({ axis: [0] })).initFromFile(file('layer.pkl.gz')), {
    message: /the file has 6 tensors of weights, but the model has 4/,
  });
});

test('a damaged checkpoint is an error wherever the damage is, and nothing in it is run', (t) => {
  const good = readFileSync(file('layer.pkl.gz'));
  const path = scratch(t, 'layer.pkl.gz');
  const refused = (bytes: Uint8Array, message: RegExp = /layer\.pkl\.gz/): void => {
    writeFileSync(path, bytes);
    const layer = body();
    t.throws(() => layer.initFromFile(path), { instanceOf: tl.LayerError, code: 'Io', message });
  };
  for (const end of [2, 3, 10, 100, good.length - 9, good.length - 1]) refused(good.subarray(0, end));
  for (const at of [3, 40, good.length - 6, good.length - 2]) refused(good.map((b, i) => (i === at ? b ^ 0x55 : b)));
  const plain = gunzipSync(good);
  const outcomes = new Set<string>();
  for (let at = 0; at < plain.length; at += 3) {
    for (const flip of [0x01, 0x80, 0xff]) {
      writeFileSync(
        path,
        gzipSync(
          plain.map((b, i) => (i === at ? b ^ flip : b)),
          { level: 1 },
        ),
      );
      try {
        body().initFromFile(path);
        outcomes.add('read');
      } catch (error) {
        outcomes.add(instanceOf(tl.LayerError, error).code);
      }
    }
  }
  // A changed number is read; anything else is told.
  t.deepEqual([...outcomes].toSorted(), ['Io', 'NotInitialized', 'WeightsMismatch', 'read']);
  refused(gzipSync(Buffer.concat([plain, Buffer.from('more')])), /something stands behind its end/);
  refused(gzipSync(Buffer.from('\x80\x03cos\nsystem\n(X\x02\0\0\0lstR.', 'latin1')), /refers to os\.system/);
  refused(gzipSync(Buffer.from('80037d2e', 'hex')), /no `flat_weights`/);
  refused(gzipSync(Buffer.alloc(100)), /instruction 0x00/);
});
