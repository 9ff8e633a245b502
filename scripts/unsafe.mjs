import { parseArgs } from 'node:util';
import { cargo, needNode } from './lib/needs.mjs';
import { dim, duration, green, main, red, Refusal, run } from './lib/run.mjs';

const help = `npm run test:unsafe -- [options]

Runs the unsafe code of the tensor crate under tools that see what a test alone does not: reads and writes out of bounds, of memory
that is freed or not yet written, and data races. Then it plants faults, which the tools must find. Closes with \`N passed, N failed\`.

  --only <tools>  comma-separated: miri, address
  --help          this text

It needs a nightly toolchain: rustup toolchain install nightly --component miri --component rust-src
CONTRIBUTING.md says what is covered.`;

const CRATE = ['--package', 'tallow-tensor', '--features', 'planted-faults'];
/** rayon's queues turn numbers into pointers and keep some for the end of the process. */
const MIRI = '-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-tree-borrows';

/** Every access of the tests, one by one: the team of threads, buffers, and the kernels for AVX2. */
const miri = {
  args: (tests) => ['+nightly', 'miri', 'test', ...CRATE, ...tests],
  env: { MIRIFLAGS: MIRI, RUSTFLAGS: '-Ctarget-feature=+avx2,+fma' },
  finds: /error: Undefined Behavior: .*/,
};

/** Every access out of bounds or to what is freed, at near the usual speed: all tests, and the kernels for AVX-512. */
const address = {
  args: (tests) => ['+nightly', 'test', '--release', '--target', target(), ...CRATE, ...tests],
  env: { RUSTFLAGS: '-Zsanitizer=address', ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1' },
  finds: /ERROR: AddressSanitizer: \S+/,
};

const TEAM = ['--lib', '--', 'threads::'];
const SMALL = ['--test', 'it', '--', 'small::', 'storage::'];

const checks = {
  miri: [
    { name: 'threads under Miri', tool: miri, tests: TEAM },
    { name: 'buffers and kernels under Miri', tool: miri, tests: SMALL },
    {
      name: 'Miri finds a loop that ends before its helpers have left it',
      tool: miri,
      tests: ['--lib', '--', 'every_index_is_called_once'],
      fault: 'threads',
    },
    { name: 'Miri finds a buffer that is not written to its end', tool: miri, tests: SMALL, fault: 'buffers' },
    { name: 'Miri finds a kernel that writes behind its buffer', tool: miri, tests: SMALL, fault: 'kernels' },
  ],
  address: [
    { name: 'all tests under AddressSanitizer', tool: address, tests: ['--lib', '--test', 'it'] },
    {
      name: 'AddressSanitizer finds a kernel that writes behind its buffer',
      tool: address,
      tests: SMALL,
      fault: 'kernels',
    },
  ],
};

/** "x86_64-unknown-linux-gnu": a sanitizer wants the target named, so that build scripts go without it. */
function target() {
  const arch = { x64: 'x86_64', arm64: 'aarch64' }[process.arch];
  const system = { linux: 'unknown-linux-gnu', darwin: 'apple-darwin' }[process.platform];
  if (!arch || !system) throw new Refusal(`AddressSanitizer is not there for ${process.platform} on ${process.arch}`);
  return `${arch}-${system}`;
}

function choose(only) {
  if (only === undefined) return Object.values(checks).flat();
  const names = Object.keys(checks);
  const wanted = only.split(',');
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Refusal(`--only takes ${names.join(', ')}; \`${unknown}\` is none of them`);
  return wanted.flatMap((name) => checks[name]);
}

/** Runs one check: a planted fault must be found, and without one nothing. */
async function hold({ tool, tests, fault }) {
  const { code, output } = await run(cargo, tool.args(tests), { env: { ...tool.env, PLANTED_FAULT: fault ?? '' } });
  const ran = [...output.matchAll(/^running (\d+) tests?$/gm)].some(([, n]) => Number(n) > 0);
  if (!ran) return { good: false, output };
  if (fault === undefined) return { good: code === 0, output };
  const [found] = tool.finds.exec(output) ?? [];
  return { good: code !== 0 && found !== undefined, output, found };
}

await main(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  const chosen = choose(values.only);
  const { code } = await run(cargo, ['+nightly', 'miri', '--version']).catch(() => ({ code: 1 }));
  if (code !== 0) {
    throw new Refusal(
      'npm run test:unsafe needs Miri: rustup toolchain install nightly --component miri --component rust-src',
    );
  }
  let failed = 0;
  for (const check of chosen) {
    const start = performance.now();
    const { good, output, found } = await hold(check);
    if (!good) console.log(output.split('\n').slice(-80).join('\n'));
    console.log(
      `${good ? green('✓') : red('✗')} ${check.name}${found ? `: ${found}` : ''} ${dim(duration(performance.now() - start))}`,
    );
    failed += good ? 0 : 1;
  }
  console.log(`${chosen.length - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
});
