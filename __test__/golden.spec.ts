/** Trax's own numbers, held against the package as a program uses it. The Rust tests hold the same cases against the core. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import * as tl from 'tallow';
import { Accepted, type Case, Different, Missing, type Module, readModule } from './support/golden/case.js';
import { checkCase } from './support/golden/check.js';
import { root } from './support/process.js';

// `scripts/device-check.mjs` names an accelerator.
tl.setDefaultDevice(process.env['TALLOW_TEST_DEVICE'] ?? 'cpu');

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

/** A case that records what Trax does and tallow deliberately does not. The Rust tests read the same list. */
interface Mended {
  readonly why: string;
  /** What comes of the case: `value` if something recorded is another, `accepted` if Trax alone refuses it, or the code of an error. */
  readonly differs: string;
}
const mended = JSON.parse(readFileSync(join(root, 'crates', 'layers', 'tests', 'mended.json'), 'utf8')) as Readonly<
  Record<string, Mended>
>;

/** What came of a case: nothing, if it does as Trax does. */
function difference(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  if (error instanceof Accepted) return 'accepted';
  if (error instanceof Different) return 'value';
  return (error as { code?: string }).code;
}

/** Runs a case and holds it to its line among the mended ones, or to there being none. */
function hold(module: Module, it: Case, line: Mended | undefined): void {
  let failure: unknown;
  try {
    checkCase(module, it);
  } catch (error) {
    failure = error;
  }
  const found = difference(failure);
  if (found === line?.differs && (failure === undefined || line !== undefined)) return;
  if (line === undefined) throw failure;
  const what = `it is listed as mended by ${line.differs}: ${line.why}`;
  throw new Error(failure === undefined ? `${what}; but it does as Trax does` : what, { cause: failure });
}

for (const [crate, name] of modules) {
  const module = readModule(crate, name);
  for (const it of module.cases) {
    const title = `${name}/${it.id}`;
    const line = mended[title];
    test(line === undefined ? title : `${title} is mended: ${line.why}`, (t) => {
      t.notThrows(() => hold(module, it, line));
    });
  }
}

const line = (differs: string): Mended => ({ why: 'a reason', differs });

test('a mended case passes only if it differs as its line says', (t) => {
  const module = readModule('layers', 'base');
  const fn = module.cases.find((it) => it.id === 'Fn-1')!;
  const renamed = { ...fn, name: 'Other' };
  t.notThrows(() => hold(module, renamed, line('value')));
  for (const differs of ['accepted', 'InvalidArgument']) t.throws(() => hold(module, renamed, line(differs)));
  t.throws(() => hold(module, fn, line('value')), { message: /but it does as Trax does/ });
  const unknown = { ...fn, expr: { fn: 'NoSuchLayer' } };
  t.throws(() => hold(module, unknown, undefined), { instanceOf: Missing });
  t.throws(() => hold(module, unknown, line('value')), { message: /listed as mended by value/ });
});

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
