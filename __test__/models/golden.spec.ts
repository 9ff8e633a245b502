/** Every model beside Trax's own: printed form, arities, initial weights and state, outputs, gradients, states, in every mode. */
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { Different, readCases } from '../support/golden/case.js';
import { checkCase } from '../support/golden/check.js';
import { root } from '../support/process.js';
import { wrong } from '../support/types.js';

const module = readCases(join(root, '__test__', 'models', 'golden'), 'models');

/** The model that a case is about. */
const modelOf = (it: (typeof module.cases)[number]): string => (it.expr as { fn: string }).fn.replace('models.', '');

/** Cases that record what Trax does and tallow deliberately does not. Each must really differ, or its line is stale. */
const own = 'a position that sees itself alone, more than once, weighs its value by 1 in all';
const mended: Readonly<Record<string, string>> = {
  'ReformerLMLsh-1': own,
  'ReformerLMSparse-3': own,
  'ConfigurableTransformerLMAttention-2': own,
};

for (const it of module.cases) {
  const reason = mended[it.id];
  test(reason === undefined ? it.id : `${it.id} is mended: ${reason}`, (t) => {
    if (reason === undefined) t.notThrows(() => checkCase(module, it));
    else t.throws(() => checkCase(module, it), { instanceOf: Different, message: /output/ });
  });
}

test('every mended case exists', (t) => {
  t.deepEqual(
    Object.keys(mended).filter((id) => module.cases.every((it) => it.id !== id)),
    [],
  );
});

/** Models that Trax has not; `transformer.spec.ts` holds them against those of Trax. */
const OURS = ['PackedTransformerLM'];

test('every model of Trax has a case', (t) => {
  const tested = new Set([...module.cases.map(modelOf), ...OURS]);
  // Names of models begin with capitals; other functions open and save models.
  const models = Object.entries(tl.models).filter(
    ([name, value]) => typeof value === 'function' && /^[A-Z]/.test(name),
  );
  t.deepEqual(
    models.map(([name]) => name).filter((name) => !tested.has(name)),
    [],
  );
});

/** Sums that are one percent off. */
const more = (sums: readonly { sumAbs: number }[]): never =>
  wrong(sums.map((s) => ({ ...s, sumAbs: 1.01 * s.sumAbs })));

test('planted faults are found', (t) => {
  const it = module.cases.find(({ id }) => id === 'ReformerLM-1')!;
  const step = it.steps[0]!;
  const faults = [
    { text: it.text.replace('LayerNorm', 'RMSNorm') },
    { init: { ...it.init, weightsChecksums: more(it.init.weightsChecksums) } },
    { steps: [{ ...step, stateChecksums: more(step.stateChecksums) }] },
    { steps: [{ ...step, grad: { ...step.grad!, weightsChecksums: more(step.grad!.weightsChecksums) } }] },
    { steps: [{ ...step, key: [1, 2] as [number, number] }] },
  ];
  for (const fault of faults) {
    t.throws(
      () => checkCase(module, { ...it, ...fault }),
      { instanceOf: Different },
      JSON.stringify(fault).slice(0, 80),
    );
  }
});
