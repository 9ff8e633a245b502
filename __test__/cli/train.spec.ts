/** What `tallow train` and `tallow eval` do with configs, and with signals. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { hasStack, program, type Said, tallow } from '../support/program.js';
import { root, run } from '../support/process.js';
import { tensorOf } from '../support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-train-'));
const at = (name: string): string => join(folder, name);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(at('node_modules'));
symlinkSync(root, at('node_modules/tallow'));
writeFileSync(at('book.txt'), 'Call me Ishmael. Some years ago I went to sea. '.repeat(40));

const config = {
  model: ['TransformerLM', 256, { dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, maxLen: 16 }],
  optimizer: ['Adam', { learningRate: 0.01 }],
  data: { text: 'book.txt', encoder: 'bytes', length: 16, batch: 4 },
  evalData: { text: 'book.txt', encoder: 'bytes', length: 16, batch: 8 },
  steps: 12,
  checkpointEvery: 4,
};

/** Writes a config with some of it changed. */
function written(name: string, changes: object): string {
  const path = at(`${name}.json`);
  writeFileSync(path, JSON.stringify({ ...config, outputDir: `runs/${name}`, ...changes }));
  return path;
}

interface Event {
  readonly event: string;
  readonly step: number;
  readonly steps?: number;
  readonly stopped?: boolean;
  readonly checkpoint?: string | null;
  readonly eval?: Record<string, number>;
}
const events = ({ out }: Said): Event[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Event);

test('a config in JSON is trained, evaluated on the way, and measured afterwards', async (t) => {
  const path = written('plain', {});
  const said = await tallow(['train', path, '--json']);
  t.is(said.code, 0, said.err);
  const all = events(said);
  t.deepEqual([all[0]!.event, all[0]!.step, all[0]!.steps], ['start', 0, 12]);
  t.deepEqual(
    all.filter(({ event }) => event === 'metrics').map(({ step }) => step),
    [1, 4, 8, 12],
  );
  const last = all.at(-1)!;
  t.deepEqual(
    [last.event, last.step, last.stopped, last.checkpoint],
    ['end', 12, false, at('runs/plain/model.safetensors')],
  );
  const losses = all.flatMap(({ eval: metrics }) => metrics?.['metrics/CategoryCrossEntropy'] ?? []);
  t.true(losses.at(-1)! < losses[0]!, String(losses));

  const measured = await tallow(['eval', path, '--json']);
  t.is(measured.code, 0, measured.err);
  const { step, metrics } = JSON.parse(measured.out) as { step: number; metrics: Record<string, number> };
  t.is(step, 12);
  t.true(Math.abs(metrics['CategoryCrossEntropy']! - losses.at(-1)!) < 0.2);
  t.deepEqual(Object.keys(metrics), ['CategoryCrossEntropy', 'CategoryAccuracy']);
  const shown = await tallow(['eval', path]);
  t.regex(shown.out, /model\.safetensors, step 12\nCategoryCrossEntropy {2}\d/);
});

test('a run leaves the folder of a model, which opens with the weights of its last checkpoint', async (t) => {
  const path = written('folder', { generation: { temperature: 0.5 }, name: 'Ishmael' });
  t.is((await tallow(['train', path, '--quiet'])).code, 0);
  const opened = await tl.models.openFolder(at('runs/folder'));
  t.deepEqual([opened.name, opened.task, opened.generation], ['Ishmael', 'generate', { temperature: 0.5 }]);
  t.is(opened.encoder?.vocabSize, 256);
  const model = tl.models.TransformerLM(256, { dModel: 16, dFf: 32, nHeads: 2, nLayers: 1, maxLen: 16, mode: 'eval' });
  model.initFromFile(at('runs/folder/model.safetensors'), { inputSignature: { shape: [4, 16], dtype: 'int32' } });
  const [ours, theirs] = [model, opened.model].map((m) => tensorOf(m([[67, 97, 108, 108]])).array());
  t.deepEqual(ours, theirs);
});

test('what a config says of the model is checked before a run', async (t) => {
  await refused(t, /generation: unknown key `temprature`; did you mean `temperature`\?/, [
    'train',
    written('bad-generation', { generation: { temprature: 1 } }),
  ]);
  await refused(t, /task must be 'generate' or 'predict'/, ['train', written('bad-task', { task: 'sing' })]);
  await refused(t, /the encoder has 256 ids, and the model gives logits of 200/, [
    'train',
    written('bad-vocabulary', { model: ['TransformerLM', 200, config.model[2]] }),
  ]);
  t.false(existsSync(at('runs/bad-task')) || existsSync(at('runs/bad-vocabulary')));
});

/** The numbers that a run ended with. */
const weights = (name: string): unknown =>
  Object.entries(tl.loadSafetensors(at(`runs/${name}/model.safetensors`))).map(([key, x]) => [key, x.array()]);

test('a run that is cut and goes on ends with the bits of one that was not', async (t) => {
  const [whole, cut] = [written('whole', {}), written('cut', {})];
  t.is((await tallow(['train', whole, '--quiet'])).code, 0);
  t.is((await tallow(['train', cut, '--quiet', '--steps', '5'])).code, 0);
  const second = await tallow(['train', cut, '--json']);
  t.is(events(second)[0]!.step, 5);
  t.deepEqual(weights('cut'), weights('whole'));
  const third = await tallow(['train', cut]);
  t.is(third.code, 0);
  t.regex(third.out, /nothing to do: .* is at step 12; --steps asks for more than 12/);
});

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  const onPosix = process.platform === 'win32' ? test.skip : test;
  onPosix(`${signal} saves a checkpoint and ends with ${code}; the same command goes on`, async (t) => {
    const path = written(signal, { steps: 100_000, checkpointEvery: 50_000, evalData: undefined });
    let isSent = false;
    const said = await tallow(['train', path, '--json'], {
      onOutput: (kill, out) => {
        if (isSent || !out.includes('"metrics"')) return;
        isSent = true;
        kill(signal);
      },
    });
    t.is(said.code, code, said.err);
    const last = events(said).at(-1)!;
    t.deepEqual([last.event, last.stopped], ['end', true]);
    t.true(last.step >= 1 && last.step < 100_000);
    await tl.training.verifyCheckpoint(last.checkpoint!);
    const again = await tallow(['train', path, '--json', '--steps', String(last.step + 2)]);
    t.deepEqual([again.code, events(again)[0]!.step, events(again).at(-1)!.step], [0, last.step, last.step + 2]);
  });
}

const onFullDisk = existsSync('/dev/full') ? test : test.skip;
onFullDisk('a run whose output is on a full disk saves what it has, and fails', async (t) => {
  const path = written('full', { steps: 100_000, checkpointEvery: 50_000, evalData: undefined });
  const { code, output } = await run('/bin/sh', [
    '-c',
    `'${process.execPath}' '${program}' train '${path}' > /dev/full`,
  ]);
  t.deepEqual([code, output], [1, 'error: the output cannot be written: there is no room left on its disk\n']);
  await tl.training.verifyCheckpoint(at('runs/full/model.safetensors'));
  const info = await tl.training.checkpointInfo(at('runs/full/model.safetensors'));
  t.true(info.step !== null && info.step >= 1 && info.step < 100_000, String(info.step));
});

test('a part of the config is changed for one run', async (t) => {
  const path = written('set', {});
  const words = ['--set', 'outputDir=runs/other', '--set', 'model.2.dModel=8', '--set', 'steps=2'];
  const said = await tallow(['train', path, '--json', ...words]);
  t.is(said.code, 0, said.err);
  t.is(events(said).at(-1)!.step, 2);
  const weights = tl.loadSafetensors(at('runs/other/model.safetensors'));
  t.true(Object.values(weights).some(({ shape }) => shape.join() === '256,8'));
});

test('arrays of a file are data, with a loss of their kind', async (t) => {
  const x = tl.random.normal(tl.random.key(0), [40, 3]);
  tl.saveNpz(at('rows.npz'), { x, label: x.sum({ axis: 1 }).gt(0).cast('int32') });
  const data = { arrays: 'rows.npz', names: ['x', 'label'], batch: 10 };
  const path = written('rows', {
    model: ['MLP', { layerWidths: [8, 2] }],
    data,
    evalData: data,
    metrics: ['CategoryAccuracy'],
    steps: 60,
  });
  const said = await tallow(['train', path, '--json']);
  t.is(said.code, 0, said.err);
  const measured = await tallow(['eval', path, '--json']);
  const { metrics } = JSON.parse(measured.out) as { metrics: Record<string, number> };
  t.true(metrics['CategoryAccuracy']! > 0.8, measured.out);
});

const line = `
import * as tl from 'tallow';
export const steps = 8;
export default ({ outputDir = 'runs/line', rate = 0.1 }) => {
  const batches = [[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]];
  const task = new tl.training.TrainTask(batches, tl.L2Loss(), tl.optimizers.SGD({ learningRate: rate }));
  const evalTasks = new tl.training.EvalTask(batches, tl.L2Loss(), { metricNames: ['loss'] });
  return new tl.training.Loop(tl.Dense(1), task, { evalTasks, outputDir, randomSeed: 0 });
};
`;

test('a module gives a loop, and gets what is set', async (t) => {
  writeFileSync(at('line.mjs'), line);
  const said = await tallow(['train', 'line.mjs', '--set', 'outputDir=runs/set-line'], { cwd: folder });
  t.is(said.code, 0, said.err);
  t.regex(said.out, /step 1 · train L2Loss \S+ · eval loss \S+\n/);
  t.regex(said.out, /trained to step 8 in .* s; runs\/set-line\/model\.safetensors\n$/);
  const measured = await tallow(['eval', 'line.mjs', '--set', 'outputDir=runs/set-line', '--json'], { cwd: folder });
  const { metrics } = JSON.parse(measured.out) as { metrics: Record<string, number> };
  t.true(metrics['loss']! < 0.5, measured.out);
  // The weights alone will do, too.
  const weights = tl.loadSafetensors(at('runs/set-line/model.safetensors'));
  const layer = tl.Dense(1);
  layer.init({ shape: [8, 3], dtype: 'float32' });
  layer.weights = [
    weights['weights/0.Dense_1/0'] ?? weights['weights/0']!,
    weights['weights/0.Dense_1/1'] ?? weights['weights/1']!,
  ];
  layer.saveToFile(at('weights.safetensors'));
  const alone = await tallow(['eval', 'line.mjs', '--checkpoint', 'weights.safetensors', '--json'], { cwd: folder });
  t.is(alone.code, 0, alone.err);
  t.deepEqual((JSON.parse(alone.out) as { metrics: unknown }).metrics, metrics);
});

test('a loop whose loss is not finite is a failure, and the checkpoint before it stays', async (t) => {
  writeFileSync(at('rates.mjs'), line);
  const words = ['train', 'rates.mjs', '--quiet', '--set', 'outputDir=runs/rates'];
  t.is((await tallow([...words, '--steps', '3'], { cwd: folder })).code, 0);
  const bytes = readFileSync(at('runs/rates/model.safetensors'));
  const said = await tallow([...words, '--set', 'rate=1e30', '--steps', '50'], { cwd: folder });
  t.is(said.code, 1, said.out);
  t.regex(said.err, /^error: .*weights, state and slots are as before this step$/m);
  t.false(hasStack(said.err));
  t.deepEqual(readFileSync(at('runs/rates/model.safetensors')), bytes);
});

const refused = async (t: ExecutionContext, says: RegExp, words: string[]): Promise<void> => {
  const said = await tallow(words, { cwd: folder });
  t.is(said.code, 2, `${said.out}${said.err}`);
  t.regex(said.err, says);
  t.is(said.err.trimEnd().split('\n').length, 1, said.err);
  t.false(hasStack(said.err));
};

const wrong: Readonly<Record<string, readonly [changes: object, says: RegExp]>> = {
  'an unknown key': [{ optimiser: ['Adam'] }, /unknown key `optimiser`; did you mean `optimizer`\?/],
  'an unknown key of data': [
    { data: { ...config.data, lenght: 3 } },
    /data: unknown key `lenght`; did you mean `length`\?/,
  ],
  'an unknown model': [
    { model: ['TransformerXL', 256] },
    /model: there is no TransformerXL; there are .*TransformerLM/,
  ],
  'an unknown option of a model': [{ model: ['TransformerLM', 256, { dmodel: 3 }] }, /model: .*dmodel/],
  'an option out of bounds': [{ optimizer: ['Adam', { learningRate: -1 }] }, /optimizer: .*learningRate/],
  'no optimizer': [{ optimizer: undefined }, /`optimizer` is missing/],
  'no steps': [{ steps: undefined }, /does not say for how many steps/],
  'steps that are no number': [{ steps: 'many' }, /steps must be a whole number of at least 1, got the string "many"/],
  'no text': [{ data: { ...config.data, text: 'absent.txt' } }, /cannot read .*absent\.txt: there is no such file/],
  'a text that is too short': [
    { data: { ...config.data, length: 10_000 } },
    /there are 0 sequences of 10000 in the text/,
  ],
  'a loss that is none': [{ loss: 'Dense' }, /loss: there is no Dense/],
  'a loss that is misspelt': [
    { loss: 'CategoryCrossEntorpy' },
    /there are .*; did you mean `CategoryCrossEntropy`\?$/m,
  ],
  'an optimizer that is misspelt': [{ optimizer: ['Adm'] }, /there is no Adm; there are .*; did you mean `Adam`\?$/m],
  'a model of another library': [{ model: ['GPT', 256] }, /there is no GPT; there are .*, and the layers of tl$/m],
  'an unknown option of the loop': [{ loop: { polcy: 'bfloat16' } }, /polcy/],
};
for (const [what, [changes, says]] of Object.entries(wrong)) {
  test(`${what} in a config is a mistake`, async (t) => {
    const path = written(`wrong-${what.replaceAll(' ', '-')}`, changes);
    await refused(t, says, ['train', path]);
    t.false(existsSync(at('runs/wrong')));
  });
}

test('what is no config is a mistake', async (t) => {
  writeFileSync(at('list.json'), '[1]');
  writeFileSync(at('broken.json'), '{"model": ');
  writeFileSync(at('config.yaml'), 'model: x');
  writeFileSync(at('nothing.mjs'), 'export const steps = 3;');
  writeFileSync(at('throws.mjs'), 'export default () => {\n  return missing.name;\n};\n');
  writeFileSync(at('syntax.mjs'), 'export default (\n');
  await refused(t, /list\.json must be an object, got/, ['train', 'list.json']);
  await refused(t, /broken\.json is no JSON: /, ['train', 'broken.json']);
  await refused(t, /config\.yaml is no config: its name must end in \.json, \.mjs/, ['train', 'config.yaml']);
  await refused(t, /the default export must be a tl\.training\.Loop, or a function that gives one; got undefined/, [
    'train',
    'nothing.mjs',
  ]);
  await refused(t, /throws\.mjs: ReferenceError: missing is not defined \(throws\.mjs:2:\d+\)/, [
    'train',
    'throws.mjs',
  ]);
  await refused(t, /syntax\.mjs: SyntaxError: Unexpected end of input/, ['train', 'syntax.mjs']);
  await refused(t, /there is no such file/, ['train', 'absent.mjs']);
  await refused(t, /it is a folder/, ['train', 'node_modules']);
});

test('settings that lead nowhere are mistakes', async (t) => {
  const path = written('nowhere', {});
  await refused(t, /--set model\.7: there is no place 7 in a list of 3/, ['train', path, '--set', 'model.7=1']);
  await refused(t, /--set steps\.x: there is no `x` in 12/, ['train', path, '--set', 'steps.x=1']);
  writeFileSync(
    at('loop.mjs'),
    line.replace('export default ({ outputDir =', 'const make = ({ outputDir =').concat('export default make({});'),
  );
  await refused(t, /exports no function by default, so nothing takes `rate`/, ['train', 'loop.mjs', '--set', 'rate=1']);
});

test('what cannot be evaluated is a mistake', async (t) => {
  await refused(t, /has nothing to evaluate/, ['eval', written('no-eval', { evalData: undefined })]);
  await refused(t, /there is no .*model\.safetensors; `tallow train .*` makes it/, ['eval', written('no-run', {})]);
  t.false(existsSync(at('runs/no-run')));
  await refused(t, /has no outputDir; name a file by --checkpoint/, [
    'eval',
    written('no-out', { outputDir: undefined }),
  ]);
  const path = written('absent-checkpoint', {});
  await refused(t, /cannot read absent: there is no such file/, ['eval', path, '--checkpoint', 'absent']);
});

test('a checkpoint of another model is a failure that lists the differences', async (t) => {
  const path = written('other-model', { steps: 1 });
  t.is((await tallow(['train', path, '--quiet'])).code, 0);
  const bytes = readFileSync(at('runs/other-model/model.safetensors'));
  const said = await tallow(['train', path, '--quiet', '--steps', '3', '--set', 'model.2.dModel=8']);
  t.is(said.code, 1);
  t.regex(said.err, /Embedding_256_16 in the file; there are \d+ more differences/);
  t.false(hasStack(said.err));
  t.deepEqual(readFileSync(at('runs/other-model/model.safetensors')), bytes);
});
