/** Models in folders: what is saved is opened again, and what is no such folder is refused. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { tensorOf } from '../support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-folder-'));
const at = (...names: string[]): string => join(folder, ...names);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const sizes = { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 };
const config: tl.models.LayerConfig = ['TransformerLM', 256, sizes];
const inputSignature = { shape: [1, 8], dtype: 'int32' } as const;
const encoder = tl.data.byteEncoder();

function made(seed = 0): tl.Layer {
  const model = tl.models.fromConfig(config);
  model.init(inputSignature, { rng: tl.random.key(seed) });
  return model;
}

const ids = [[3, 1, 4, 1, 5]];
const outputs = (model: tl.Layer): unknown => {
  const y = model.withMode('eval')(ids);
  return (y instanceof tl.Tensor ? y : y[0]!).array();
};

test('a model that writes comes back with its weights, encoder, defaults and template', async (t) => {
  const model = made();
  const generation = { startId: 0, eosId: 10, temperature: 0.5, stop: ['\n\n'], topK: null };
  const chatTemplate = '{% for m in messages %}{{ m.content }}{% endfor %}';
  const given = { model, config, inputSignature, encoder, generation, chatTemplate, name: 'a whale' };
  await tl.models.saveFolder(at('deep', 'whale'), { ...given, task: 'generate' });
  t.deepEqual(readdirSync(at('deep', 'whale')).toSorted(), ['model.json', 'model.safetensors', 'tokenizer.json']);
  await tl.training.verifyCheckpoint(at('deep', 'whale', 'model.safetensors'));

  const opened = await tl.models.openFolder(at('deep', 'whale'));
  t.deepEqual(
    [opened.name, opened.task, opened.generation, opened.chatTemplate, opened.config, opened.inputSignature],
    ['a whale', 'generate', generation, chatTemplate, config, inputSignature],
  );
  t.deepEqual(outputs(opened.model), outputs(model));
  t.is(opened.encoder?.decode(opened.encoder.encode('hé')), 'hé');
  const options = { encoder, temperature: 0, maxTokens: 6 };
  const [one, other] = await Promise.all([model, opened.model].map((m) => tl.decoding.sample(m, 'Call', options)));
  t.deepEqual(one, other);

  // What was opened can be saved as it is, and is called as its folder where it has no name.
  await tl.models.saveFolder(at('again'), { ...opened, name: undefined });
  const again = await tl.models.openFolder(at('again'));
  t.deepEqual([again.name, outputs(again.model)], ['again', outputs(model)]);
  renameSync(at('again'), at('moved'));
  t.is((await tl.models.openFolder(at('moved'))).name, 'moved');
});

test('characters and tokenizers are saved as data', async (t) => {
  const characters = tl.data.characterEncoder('hello whale', { reserved: 1 });
  const pairs = await tl.data.trainBytePair(['the whale, the whale'], { vocabSize: 260 });
  for (const [name, one] of Object.entries({ characters, pairs })) {
    const lm: tl.models.LayerConfig = ['TransformerLM', one.vocabSize, sizes];
    const model = tl.models.fromConfig(lm);
    model.init(inputSignature, { rng: tl.random.key(1) });
    await tl.models.saveFolder(at(name), { model, config: lm, inputSignature, task: 'generate', encoder: one });
    const opened = await tl.models.openFolder(at(name));
    t.deepEqual(opened.encoder?.encode('whale'), one.encode('whale'));
  }
});

test('a padded vocabulary: ids that the encoder has not are never written, and others keep their log-probabilities', async (t) => {
  const padded: tl.models.LayerConfig = ['TransformerLM', 320, sizes];
  const model = tl.models.fromConfig(padded);
  model.init(inputSignature, { rng: tl.random.key(2) });
  await tl.models.saveFolder(at('padded'), { model, config: padded, inputSignature, task: 'generate', encoder });
  const opened = await tl.models.openFolder(at('padded'));
  t.is(opened.encoder?.vocabSize, 256);

  const options = { encoder, maxTokens: 40, temperature: 4, rng: tl.random.key(3), logProbs: 320 };
  const text = await tl.decoding.sample(opened.model, 'Call', options);
  t.is(text.tokens.length, 40);
  t.true(text.tokens.every((id) => id < 256));
  // Without the encoder all ids are drawn from, and a fifth of them is padding.
  const ids = await tl.decoding.sample(opened.model, encoder.encode('Call'), { ...options, encoder: null });
  t.true(ids.tokens.some((id) => id >= 256));
  const [held, free] = [text, ids].map(({ topLogProbs }) => topLogProbs![0]!);
  t.deepEqual(
    held,
    free!.filter(({ token }) => token < 256),
  );
  t.is(text.logProbs[0], held!.find(({ token }) => token === text.tokens[0])?.logProb);

  const beams = await tl.decoding.beamSearch(opened.model, 'Call', { encoder, nBeams: 8, maxLength: 5, eosId: null });
  t.true(beams.every(({ tokens }) => tokens.every((id) => id < 256)));
});

test('a model for predictions is of any layers; state comes back too', async (t) => {
  const layers: tl.models.LayerConfig = ['Serial', ['Dense', 8], 'Relu', ['BatchNorm', { axis: 0 }], ['Dense', 2]];
  const model = tl.models.fromConfig(layers);
  const signature = { shape: [4, 3], dtype: 'float32' } as const;
  model.init(signature, { rng: tl.random.key(0) });
  const x = tl.random.normal(tl.random.key(1), [4, 3]);
  model(x);
  await tl.models.saveFolder(at('points'), { model, config: layers, inputSignature: signature, task: 'predict' });
  const opened = await tl.models.openFolder(at('points'));
  const [y, z] = [model.withMode('eval'), opened.model].map((m) => tensorOf(m(x)));
  t.deepEqual(y!.array(), z!.array());
  t.deepEqual([opened.task, opened.encoder, opened.chatTemplate, opened.generation], ['predict', null, null, {}]);
});

test('factories and initializers are named in options', (t) => {
  const options = { dModel: 8, dFf: 8, nLayers: 1, nHeads: 2, attentionType: 'SelfAttention' };
  const lm = tl.models.fromConfig(['ReformerLM', 8, options]);
  const { attentionType: _, ...others } = options;
  t.is(String(lm), String(tl.models.ReformerLM(8, { ...others, attentionType: tl.SelfAttention })));
  const dense = tl.models.fromConfig(['Dense', 4, { kernelInitializer: ['RandomNormalInitializer', { stddev: 0 }] }]);
  dense.init({ shape: [1, 2], dtype: 'float32' });
  const [w] = tl.tree.leaves(dense.weights);
  t.is(w instanceof tl.Tensor && w.abs().max().item(), 0);
});

test('a second model takes the place of the first; other files stay', async (t) => {
  mkdirSync(at('twice'));
  writeFileSync(at('twice', 'notes.txt'), 'mine');
  for (const seed of [1, 2, 3]) {
    await tl.models.saveFolder(at('twice'), { model: made(seed), config, inputSignature, task: 'generate', encoder });
    t.deepEqual(outputs((await tl.models.openFolder(at('twice'))).model), outputs(made(seed)));
    t.is(readdirSync(at('twice')).length, 4, 'a weights file, a tokenizer, model.json and what was there');
  }
  t.is(readFileSync(at('twice', 'notes.txt'), 'utf8'), 'mine');
});

test('a save that ends early leaves the model that was there', async (t) => {
  const [first, second] = [made(1), made(2)];
  await tl.models.saveFolder(at('early'), { model: first, config, inputSignature, task: 'generate', encoder });
  // The new weights are written, and the program ends before the description is.
  second.saveToFile(at('early', 'model.1.safetensors'), { inputSignature });
  t.deepEqual(outputs((await tl.models.openFolder(at('early'))).model), outputs(first));
  await tl.models.saveFolder(at('early'), { model: second, config, inputSignature, task: 'generate', encoder });
  t.deepEqual(outputs((await tl.models.openFolder(at('early'))).model), outputs(second));
  t.is(readdirSync(at('early')).length, 3, readdirSync(at('early')).join());
});

const refused = async (
  t: ExecutionContext,
  code: tl.ErrorCode,
  says: RegExp,
  work: Promise<unknown>,
): Promise<void> => {
  const error = await t.throwsAsync(work, { instanceOf: tl.LayerError, message: says });
  t.is(error?.code, code);
  t.is(error?.message.split('\n').length, 1, error?.message);
};

test('what is no folder of a model is refused', async (t) => {
  mkdirSync(at('empty'));
  writeFileSync(at('file'), 'text');
  const open = tl.models.openFolder;
  await refused(
    t,
    'Io',
    /openFolder: there is no folder .*absent; tl\.models\.saveFolder makes one/,
    open(at('absent')),
  );
  await refused(t, 'Io', /empty has no model\.json, so it is no folder of a model/, open(at('empty')));
  await refused(t, 'Io', /file is no folder; name the folder of a model/, open(at('file')));
  // @ts-expect-error -- callers without types
  await t.throwsAsync(open(3), { instanceOf: TypeError, message: /folder must be a string, got 3/ });
});

const broken: Readonly<Record<string, readonly [changes: object | string, code: tl.ErrorCode, says: RegExp]>> = {
  'broken JSON': ['{"model": ', 'Io', /model\.json is no JSON: /],
  'a list': ['[1]', 'InvalidArgument', /model\.json must hold an object, got an array/],
  'no version': [
    { formatVersion: undefined },
    'InvalidArgument',
    /formatVersion must be a whole number from 1, got un/,
  ],
  'a newer version': [
    { formatVersion: 2, more: 1 },
    'InvalidArgument',
    /is of format version 2, and this version of tallow reads 1; install a newer one/,
  ],
  'an unknown key': [{ tasks: 'x' }, 'InvalidArgument', /model\.json: unknown key `tasks`; did you mean `task`\?/],
  'a missing key': [{ task: undefined }, 'InvalidArgument', /model\.json: `task` is missing/],
  'an unknown task': [
    { task: 'sing' },
    'InvalidArgument',
    /task must be 'generate' or 'predict', got the string "sing"/,
  ],
  'a model that is misspelt': [
    { model: ['TransformrLM', 256, sizes] },
    'InvalidArgument',
    /model: there is no TransformrLM; there are .*; did you mean `TransformerLM`\?$/,
  ],
  'an unknown model': [{ model: ['GPT', 3] }, 'InvalidArgument', /model: there is no GPT; there are .*TransformerLM/],
  'a model that is none': [{ model: 3 }, 'InvalidArgument', /model must be a name, or a list .*; got 3/],
  'an unknown option': [{ model: ['TransformerLM', 256, { dmodel: 3 }] }, 'InvalidOption', /dmodel/],
  'a wrong signature': [{ inputSignature: { shape: 3 } }, 'InvalidArgument', /inputSignature must be \{shape, dtype\}/],
  'unknown defaults': [{ generation: { temprature: 1 } }, 'InvalidArgument', /did you mean `temperature`\?/],
  'wrong defaults': [
    { generation: { temperature: 'hot' } },
    'InvalidArgument',
    /generation\.temperature must be a number, got the string "hot"/,
  ],
  'weights elsewhere': [
    { weights: '../x.safetensors' },
    'InvalidArgument',
    /weights must be the name of a file in the f/,
  ],
  'an encoder elsewhere': [
    { encoder: '/etc/passwd' },
    'InvalidArgument',
    /encoder must be the name of a file in the f/,
  ],
  'no weights': [{ weights: 'gone.safetensors' }, 'Io', /has no gone\.safetensors, the weights that its model\.json/],
  'no tokenizer': [{ encoder: 'gone.json' }, 'Io', /has no gone\.json, the encoder that its model\.json names/],
  'no template': [{ chatTemplate: { file: 'gone.jinja' } }, 'Io', /chat template .*gone\.jinja cannot be read: ENOENT/],
  'a vocabulary that lacks ids of the encoder': [
    { model: ['TransformerLM', 200, sizes] },
    'InvalidArgument',
    /the encoder has 256 ids, and the model gives logits of 200; give the model at least as many/,
  ],
  'weights that do not fit': [
    { model: ['TransformerLM', 256, { ...sizes, dModel: 8 }] },
    'WeightsMismatch',
    /openFolder: .*model\.safetensors: the file has no tensor/,
  ],
};
for (const [what, [changes, code, says]] of Object.entries(broken)) {
  test(`${what} in model.json is refused`, async (t) => {
    const path = at(`broken-${what.replaceAll(' ', '-')}`);
    await tl.models.saveFolder(path, { model: made(), config, inputSignature, task: 'generate', encoder });
    const file = join(path, 'model.json');
    const text =
      typeof changes === 'string'
        ? changes
        : JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...changes });
    writeFileSync(file, text);
    await refused(t, code, says, tl.models.openFolder(path));
  });
}

test('a template may be a file of its own', async (t) => {
  await tl.models.saveFolder(at('chat'), { model: made(), config, inputSignature, task: 'generate', encoder });
  const file = at('chat', 'model.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...json, chatTemplate: { file: 'chat_template.jinja' } }));
  writeFileSync(at('chat', 'chat_template.jinja'), 'a template');
  t.is((await tl.models.openFolder(at('chat'))).chatTemplate, 'a template');
});

test('what cannot be saved is refused, and no folder is made', async (t) => {
  const model = made();
  const given = { model, config, inputSignature, task: 'generate' } as const;
  const save = (changes: object): Promise<void> => tl.models.saveFolder(at('never'), { ...given, ...changes });
  await refused(
    t,
    'WeightsMismatch',
    /config makes other layers or weights than the model has/,
    save({ config: ['TransformerLM', 256] }),
  );
  await refused(t, 'InvalidArgument', /there is no Nothing; there are/, save({ config: ['Nothing'] }));
  await refused(
    t,
    'InvalidArgument',
    /config must be a layer or a model/,
    save({ config: 'GlorotUniformInitializer' }),
  );
  await refused(
    t,
    'InvalidArgument',
    /config\.2\.rate must be a value that JSON holds, got a function/,
    save({ config: ['Dense', 3, { rate: () => 0 }] }),
  );
  await refused(
    t,
    'InvalidArgument',
    /the encoder has 258 ids/,
    save({ encoder: tl.data.byteEncoder({ reserved: 2 }) }),
  );
  await refused(
    t,
    'InvalidArgument',
    /generation\.logitBias must be an object of numbers/,
    save({ generation: { logitBias: { 3: -Infinity } } }),
  );
  await t.throwsAsync(save({ model: 3 }), { instanceOf: TypeError, message: /`model` must be a layer, got 3/ });
  await t.throwsAsync(save({ config: undefined }), { instanceOf: TypeError, message: /`config` is missing/ });
  await t.throwsAsync(save({ inputSignature: undefined }), { instanceOf: TypeError, message: /`inputSignature` is/ });
  await t.throwsAsync(save({ encoder: {} }), { instanceOf: TypeError, message: /`encoder` must be an encoder/ });
  await t.throwsAsync(save({ tokenizer: encoder }), { instanceOf: TypeError, message: /unknown option `tokenizer`/ });
  t.false(existsSync(at('never')));
  writeFileSync(at('in-the-way'), '');
  await refused(t, 'Io', /in-the-way cannot be written: /, tl.models.saveFolder(at('in-the-way'), given));
});
