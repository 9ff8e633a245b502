/** Trax's own numbers, held against the package as a program uses it. The Rust tests hold the same cases against the core. */
import test from 'ava';
import * as tl from 'tallow';
import { type Case, Different, Missing, readModule } from './support/golden/case.js';
import { checkCase } from './support/golden/check.js';
import { hold, mended, type Mended, modules } from './support/golden/hold.js';

// `scripts/device-check.mjs` names an accelerator.
tl.setDefaultDevice(process.env['TALLOW_TEST_DEVICE'] ?? 'cpu');

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
