/** Files of tensors in another format, as `tallow convert` writes them. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { hasStack, tallow } from '../support/program.js';
import { root } from '../support/process.js';
import { tensorOf } from '../support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-convert-'));
const at = (name: string): string => join(folder, name);
const ofTrax = (name: string): string => join(root, '__test__', 'checkpoints', name);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const arrays = {
  'a/w': tl.random.normal(tl.random.key(1), [3, 5]),
  b: tl.arange(4),
  half: tl.ones([2], { dtype: 'float16' }),
};

async function convert(t: ExecutionContext, ...words: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await tallow(['convert', ...words, '--json']);
  t.is(code, 0, err);
  return JSON.parse(out) as Record<string, unknown>;
}

function sameTensors(t: ExecutionContext, found: Record<string, tl.Tensor>, wanted: Record<string, tl.Tensor>): void {
  t.deepEqual(Object.keys(found).toSorted(), Object.keys(wanted).toSorted());
  for (const [name, tensor] of Object.entries(wanted)) {
    t.deepEqual(
      [found[name]!.dtype, found[name]!.shape, found[name]!.array()],
      [tensor.dtype, tensor.shape, tensor.array()],
      name,
    );
  }
}

test('npz becomes safetensors and npz again, bit for bit', async (t) => {
  tl.saveNpz(at('a.npz'), arrays);
  t.deepEqual(await convert(t, at('a.npz'), at('a.safetensors')), {
    from: at('a.npz'),
    to: at('a.safetensors'),
    tensors: 3,
    bytes: 60 + 16 + 4,
    leftOut: [],
  });
  sameTensors(t, tl.loadSafetensors(at('a.safetensors')), arrays);
  await convert(t, at('a.safetensors'), at('again.npz'));
  sameTensors(t, tl.loadNpz(at('again.npz')), arrays);
});

test('arrays without names become named by number, and go back', async (t) => {
  tl.npToFile([arrays['a/w'], arrays.b], at('list.npy.gz'), 6);
  await convert(t, at('list.npy.gz'), at('list.safetensors'));
  sameTensors(t, tl.loadSafetensors(at('list.safetensors')), { 0: arrays['a/w'], 1: arrays.b });
  await convert(t, at('list.safetensors'), at('list2.npy.gz'));
  t.deepEqual(
    tl.npFromFile(at('list2.npy.gz'), 6).map((x) => x.array()),
    [arrays['a/w'].array(), arrays.b.array()],
  );
});

test('a checkpoint of Trax becomes arrays by number', async (t) => {
  const { tensors } = await convert(t, ofTrax('layer.pkl.gz'), at('layer.npz'));
  const read = tl.loadNpz(at('layer.npz'));
  t.is(Object.keys(read).length, tensors as number);
  t.deepEqual(read['weights/0']!.shape, [2, 3]);
});

const make = (): tl.Layer<tl.Tensor, 1> =>
  tl.models.TransformerLM(13, { dModel: 64, dFf: 128, nHeads: 2, nLayers: 2, maxLen: 256, mode: 'eval' });

test('with a model it becomes a file of that layer, which answers as Trax does', async (t) => {
  const config = {
    model: ['TransformerLM', 13, { dModel: 64, dFf: 128, nHeads: 2, nLayers: 2, maxLen: 256, mode: 'eval' }],
  };
  writeFileSync(at('lm.json'), JSON.stringify(config));
  const { leftOut } = await convert(
    t,
    ofTrax('transformerlm_copy.pkl.gz'),
    at('lm.safetensors'),
    '--model',
    at('lm.json'),
  );
  t.deepEqual(leftOut, ['its step', 'the slots of its optimizer']);
  const [ours, theirs] = [make(), make()];
  ours.initFromFile(at('lm.safetensors'), { inputSignature: { shape: [1, 4], dtype: 'int32' } });
  theirs.initFromFile(ofTrax('transformerlm_copy.pkl.gz'));
  t.deepEqual(ours([[0, 3, 7, 5]]).array(), theirs([[0, 3, 7, 5]]).array());
});

test('the folder of a model is read as its weights, and as the layer of a file', async (t) => {
  const config: tl.models.LayerConfig = ['Serial', ['Dense', 4], ['Dense', 1]];
  const model = tl.models.fromConfig(config);
  const inputSignature = { shape: [2, 3], dtype: 'float32' } as const;
  model.init(inputSignature, { rng: tl.random.key(3) });
  await tl.models.saveFolder(at('dense'), { model, config, inputSignature, task: 'predict' });
  await convert(t, at('dense'), at('dense.npz'));
  sameTensors(t, tl.loadNpz(at('dense.npz')), tl.loadSafetensors(at('dense/model.safetensors')));
  await convert(t, at('dense'), at('dense.safetensors'), '--model', at('dense'));
  const read = tl.models.fromConfig(config);
  read.initFromFile(at('dense.safetensors'));
  const x = tl.random.normal(tl.random.key(4), [2, 3]);
  t.deepEqual(tensorOf(read(x)).array(), tensorOf(model(x)).array());
});

test('what is left out is told', async (t) => {
  const model = tl.Serial(tl.Dense(1), tl.L2Loss());
  model.init(tl.signature([tl.ones([4, 3]), tl.ones([4, 1]), tl.ones([4, 1])]));
  await new tl.Trainer(model, tl.optimizers.Adam()).save(at('run.safetensors'), 12, { epoch: 3 });
  t.deepEqual((await convert(t, at('run.safetensors'), at('run.npz')))['leftOut'], ['its step', 'its notes']);
  const { out } = await tallow(['convert', at('run.safetensors'), at('run2.npz')]);
  t.regex(out, /run2\.npz: \d+ tensors, \d+ B\nleft out: its step, its notes\n$/);
});

const refused = async (t: ExecutionContext, code: number, says: RegExp, ...words: string[]): Promise<void> => {
  const said = await tallow(['convert', ...words]);
  t.is(said.code, code, said.err);
  t.regex(said.err, says);
  t.false(hasStack(said.err));
};

test('a file that is there stays unless it is to be replaced', async (t) => {
  tl.saveNpz(at('in.npz'), arrays);
  writeFileSync(at('there.safetensors'), 'mine');
  await refused(
    t,
    2,
    /there\.safetensors is there already; --force replaces it/,
    at('in.npz'),
    at('there.safetensors'),
  );
  t.is(readFileSync(at('there.safetensors'), 'utf8'), 'mine');
  await convert(t, at('in.npz'), at('there.safetensors'), '--force');
  sameTensors(t, tl.loadSafetensors(at('there.safetensors')), arrays);
});

test('where nothing can be written is a mistake, and nothing is left behind', async (t) => {
  tl.saveNpz(at('src.npz'), arrays);
  mkdirSync(at('dir.npz'));
  await refused(t, 2, /must end in \.safetensors, \.npz, \.npy\.gz/, at('src.npz'), at('out.bin'));
  await refused(t, 2, /it is a folder/, at('src.npz'), at('dir.npz'), '--force');
  await refused(t, 2, /there is no folder/, at('src.npz'), at('no/out.npz'));
  await refused(t, 2, /there is no such file/, at('absent.npz'), at('out.npz'));
  await refused(t, 2, /has names, such as a\/w; write \.npz instead/, at('src.npz'), at('out.npy.gz'));
  await refused(t, 2, /a layer is saved as \.safetensors/, at('src.npz'), at('out.npz'), '--model', at('lm.json'));
  writeFileSync(at('text.npz'), 'no archive at all');
  await refused(t, 1, /no file of tensors that is known here/, at('text.npz'), at('out.npz'));
  t.false(existsSync(at('out.npz')) || existsSync(at('out.npy.gz')));
  t.deepEqual(
    readdirSync(folder).filter((name) => /tmp|part/i.test(name)),
    [],
  );
});
