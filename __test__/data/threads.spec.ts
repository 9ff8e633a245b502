/** A dataset in a thread gives what it gives here, and goes on from any element. */
import { join } from 'node:path';
import test from 'ava';
import { run } from '../support/process.js';

test('a dataset in a thread is as one here', async (t) => {
  // Of the package as it is built, since a thread loads no TypeScript.
  const { code, output } = await run(process.execPath, [join(__dirname, 'fixtures', 'threads.mjs')]);
  t.is(code, 0, output);
  t.regex(output, /all held/);
});
