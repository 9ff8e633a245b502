/** The memory of a long run. */
import { join } from 'node:path';
import test from 'ava';
import { run } from '../support/process.js';

/** MiB that 20,000 steps may take for good. */
const LIMIT = 16;

async function grown(...args: string[]): Promise<{ steps: number; grownMiB: number; kept: number }> {
  const program = join(__dirname, '..', 'support', 'longRun.ts');
  const { code, output } = await run(process.execPath, ['--expose-gc', '--import=tsx', program, ...args]);
  if (code !== 0) throw new Error(output);
  return JSON.parse(output) as { steps: number; grownMiB: number; kept: number };
}

test('20,000 steps leave no memory behind; a tensor kept in each step does', async (t) => {
  const [clean, leaking] = await Promise.all([grown(), grown('leak')]);
  t.is(clean.steps, 30_000);
  t.true(clean.grownMiB <= LIMIT, `${clean.grownMiB} MiB`);
  t.is(leaking.kept, 30_000);
  t.true(leaking.grownMiB > LIMIT, `${leaking.grownMiB} MiB`);
});
