/** Trax's own numbers, held against the package as a program uses it. The Rust tests hold the same cases against the core. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { checkCase, Different, Missing, readModule, type Case } from './support/golden.js';
import { root } from './support/process.js';

/** Where the cases of each module lie. */
const modules: readonly [crate: string, module: string][] = [
  ...[
    'acceleration',
    'base',
    'initializers',
    'activation_fns',
    'combinators',
    'convolution',
    'deconvolution',
    'core',
    'attention',
    'metrics',
    'normalization',
    'pooling',
    'position_encodings',
    'rel_attention',
    'resampling',
    'reversible',
    'rnn',
    'sparsity',
    'assert_shape',
    'efficient_attention',
    'rotary_positional_embedding',
    // Pairs of options, odd shapes and shared layers of all modules.
    'options',
  ].map((module): [string, string] => ['layers', module]),
  ['tensor', 'random'],
  ['training', 'optimizers'],
  ['training', 'lr_schedules'],
  ['training', 'training'],
];

/** Cases that record what Trax does and tallow deliberately does not. Each must really differ, or its line is stale. */
const mended = JSON.parse(readFileSync(join(root, 'crates', 'layers', 'tests', 'mended.json'), 'utf8')) as Readonly<
  Record<string, string>
>;

/** The name that a case lacks: one the package does not export, or a kind that a layer is composed of. */
function missing(error: unknown): string | undefined {
  return error instanceof Missing ? error.message : /there is no layer named (\w+)/.exec((error as Error).message)?.[1];
}

/** Names of modules of which nothing is there yet; a case that needs one of them waits. No other name may be missing. */
const awaited: ReadonlySet<string> = new Set([
  'LSHSelfAttention',
  'SelfAttention',
  ...['SGD', 'Momentum', 'RMSProp', 'Adafactor', 'SM3'].map((name) => `optimizers.${name}`),
]);

for (const [crate, name] of modules) {
  const module = readModule(crate, name);
  for (const it of module.cases) {
    const title = `${name}/${it.id}`;
    const reason = mended[title];
    test(reason === undefined ? title : `${title} is mended: ${reason}`, (t) => {
      try {
        checkCase(module, it);
      } catch (error) {
        const name = missing(error);
        if (name !== undefined && awaited.has(name)) {
          t.log(`waits for ${name}`);
        } else if (reason === undefined) {
          throw error;
        }
        t.pass();
        return;
      }
      t.is(reason, undefined, 'it does as Trax does');
    });
  }
}

test('planted faults are found', (t) => {
  const module = readModule('layers', 'base');
  const fn = module.cases.find((it) => it.id === 'Fn-1')!;
  const step = fn.steps[0]!;
  const faults: Partial<Case>[] = [
    { name: 'Other' },
    { nOut: 2 },
    { hasBackward: true },
    { text: 'Scale_in2' },
    { init: { ...fn.init, weightsTree: [[]] } },
    { steps: [{ ...step, outputs: step.inputs }] },
    { steps: [{ ...step, grad: { ...step.grad!, cotangents: step.inputs } }] },
  ];
  t.notThrows(() => checkCase(module, fn));
  for (const fault of faults) {
    t.throws(() => checkCase(module, { ...fn, ...fault }), { instanceOf: Different }, JSON.stringify(fault));
  }
});

test('every mended case exists', (t) => {
  const titles = new Set(
    modules.flatMap(([crate, name]) => readModule(crate, name).cases.map((it) => `${name}/${it.id}`)),
  );
  t.deepEqual(
    Object.keys(mended).filter((title) => !titles.has(title)),
    [],
  );
});
