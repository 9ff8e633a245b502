import { parseArgs } from 'node:util';
import { cargo, needNode } from './lib/needs.mjs';
import { dim, duration, green, main, red, Refusal, run } from './lib/run.mjs';

const help = `npm run test:unsafe

Runs the unsafe code of the tensor crate under Miri, which sees what a test alone does not: reads and writes out of bounds, of memory
that is gone or not yet written, and data races. Then it plants faults, which Miri must find. Closes with \`N passed, N failed\`.

  --help  this text

It needs a nightly toolchain: rustup toolchain install nightly --component miri --component rust-src
CONTRIBUTING.md says what is covered.`;

/** Every access of the tests is followed, and the kernels of a processor with AVX2 are interpreted. */
const miri = ['+nightly', 'miri', 'test', '--package', 'tallow-tensor', '--features', 'planted-faults'];
const env = {
  // The queues of rayon turn numbers into pointers, and keep some for the end of the process.
  MIRIFLAGS: '-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-tree-borrows',
  RUSTFLAGS: '-Ctarget-cpu=x86-64-v3',
};

const checks = [
  { name: 'the team of threads', tests: ['--lib', '--', 'threads::'] },
  { name: 'values borrowed from a storage', tests: ['--test', 'it', '--', 'storage::'] },
  { name: 'the kernels of products and convolutions', tests: ['--lib', '--', 'kernels::'] },
  { name: 'the kernels of every operation', tests: ['--test', 'it', '--', 'small::'] },
  {
    name: 'finds a loop that ends before its helpers have left it',
    tests: ['--lib', '--', 'every_index_is_called_once'],
    fault: 'threads',
  },
  {
    name: 'finds a buffer that is not written to its end',
    tests: ['--test', 'it', '--', 'storage::'],
    fault: 'buffers',
  },
  {
    name: 'finds a kernel that writes behind its buffer',
    tests: ['--lib', '--', 'every_kernel_and_order'],
    fault: 'kernels',
  },
];

/** Runs one check: a planted fault must be found, and without one nothing. */
async function hold({ tests, fault }) {
  const { code, output } = await run(cargo, [...miri, ...tests], { env: { ...env, PLANTED_FAULT: fault ?? '' } });
  const ran = [...output.matchAll(/^running (\d+) tests?$/gm)].some(([, n]) => Number(n) > 0);
  if (fault === undefined) return { good: ran && code === 0, output };
  const [found] = /error: Undefined Behavior: .*/.exec(output) ?? [];
  return { good: ran && code !== 0 && found !== undefined, output, found };
}

await main(async () => {
  const { values } = parseArgs({ options: { help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  const { code } = await run(cargo, ['+nightly', 'miri', '--version']).catch(() => ({ code: 1 }));
  if (code !== 0) {
    throw new Refusal(
      'npm run test:unsafe needs Miri: rustup toolchain install nightly --component miri --component rust-src',
    );
  }
  let failed = 0;
  for (const check of checks) {
    const start = performance.now();
    const { good, output, found } = await hold(check);
    if (!good) console.log(output.split('\n').slice(-80).join('\n'));
    const mark = good ? green('✓') : red('✗');
    console.log(`${mark} ${check.name}${found ? ` (${found})` : ''} ${dim(duration(performance.now() - start))}`);
    failed += good ? 0 : 1;
  }
  console.log(`${checks.length - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
});
