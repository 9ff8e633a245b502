/** The fuzzer itself: a part of its inputs in each run of the tests, the same inputs for the same seed, and a planted fault that it finds. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { dice, errorFault } from '../support/hostile.js';
import { root, run } from '../support/process.js';
import { fuzz, TARGETS } from './fuzz.js';
import { mutated, mutatedJson } from './mutate.js';
import { targets } from './targets.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-fuzz-spec-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test('the targets have names, and those are the ones that can be asked for', async (t) => {
  t.deepEqual(Object.keys(targets(folder)), TARGETS);
  const { output } = await run(process.execPath, [join(root, 'scripts', 'fuzz.mjs'), '--only', 'zip']);
  t.is(output.trim(), `--only takes ${TARGETS.join(', ')}; \`zip\` is none of them`);
});

for (const target of TARGETS) {
  test(`${target}: drawn inputs are read, or refused by an error that tells what is wrong`, async (t) => {
    t.timeout(240_000);
    const found = await fuzz({
      target,
      seed: 16,
      first: 0,
      count: target === 'layers' ? 300 : 150,
      out: join(folder, 'found'),
    });
    t.deepEqual(found, []);
  });
}

test('the same numbers give the same inputs, and most inputs are changed', (t) => {
  const bytes = Buffer.from('abcdefghijklmnopqrstuvwxyz');
  const several = (seed: number): string[] => {
    const roll = dice(seed);
    return Array.from({ length: 50 }, () => mutated(bytes, roll).toString('latin1'));
  };
  t.deepEqual(several(3), several(3));
  t.true(new Set(several(3)).size > 30);
  const value = { a: [1, 2, { b: 'x' }], c: null };
  const roll = dice(5);
  const changed = Array.from({ length: 50 }, () => JSON.stringify(mutatedJson(value, roll, 8)));
  t.true(new Set(changed).size > 20);
  t.true(changed.includes(JSON.stringify(value)), 'some stay as they are');
});

test('errors in words of the inner parts, or of others, are faults', (t) => {
  t.is(errorFault(new RangeError('`axis` must be below 2, got 3')), undefined);
  t.regex(errorFault(new RangeError('called `Option::unwrap()` on a None value')) ?? '', /inner parts/);
  const quoting = new RangeError(
    'x.json: the tokenizer says: invalid type: null, expected a string at line 1 column 4',
  );
  t.is(errorFault(quoting, true), undefined);
  t.regex(errorFault(quoting) ?? '', /inner parts/);
  t.regex(errorFault(new Error('boom')) ?? '', /^threw Error: boom/);
});

test('an input that a process dies of is kept, with what was wrong', async (t) => {
  const out = join(folder, 'planted');
  const found = await fuzz({
    target: 'layers',
    seed: 1,
    first: 0,
    count: 1,
    out,
    env: { NODE_OPTIONS: '--max-old-space-size=1' },
  });
  t.is(found.length, 1);
  t.regex(found[0]!.what, /^the process ended with /);
  t.true(readdirSync(out).includes('layers-1-0.json.txt'));
});
