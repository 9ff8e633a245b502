import { parseArgs } from 'node:util';
import { cargo, needNode } from './lib/needs.mjs';
import { figures, report } from './lib/report.mjs';
import { main, must, Refusal, run } from './lib/run.mjs';

const help = `npm run test:unsafe -- [options]

Runs the unsafe code of the tensor crate under Miri and AddressSanitizer, which see what a test alone does not: reads and writes out of
bounds, of memory that is gone or (Miri) not yet written, and (Miri) data races. Then it plants faults, which they must find. Closes with
\`N passed, N failed, N skipped\`.

  --only <text>  the checks whose name contains the text, as \`Miri\`, \`AddressSanitizer\` or \`threads\`
  --help         this text

It needs a nightly toolchain: rustup toolchain install nightly --component miri --component rust-src
CONTRIBUTING.md says what is covered.`;

const tests = ['--package', 'tallow-tensor', '--features', 'planted-faults'];

const tools = {
  // Every access of the tests is followed, and the kernels of a processor with AVX2 are interpreted.
  Miri: {
    args: () => ['+nightly', 'miri', 'test', ...tests],
    env: {
      // The queues of rayon turn numbers into pointers, and keep some for the end of the process.
      MIRIFLAGS: '-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-tree-borrows',
      RUSTFLAGS: '-Ctarget-cpu=x86-64-v3',
    },
    found: /error: Undefined Behavior: .*/,
  },
  // The kernels that this processor chooses, AVX-512 among them. With a target, build scripts and macros stay as they are.
  AddressSanitizer: {
    args: (host) => ['+nightly', 'test', ...tests, '--target', host, '--target-dir', 'target/asan'],
    env: { RUSTFLAGS: '-Zsanitizer=address' },
    found: /ERROR: AddressSanitizer: \S+/,
  },
};

/** Miri knows no conversions of float16, which operations use where the processor has them. */
const withoutFloat16 = { RUSTFLAGS: '-Ctarget-feature=+avx2,+fma' };

/** Each check: the tool, what it looks at, the tests that do, the fault that is planted, if one is, and variables of its own. */
const checks = [
  ['Miri', 'threads: the team and its loops', ['--lib', '--', 'threads::']],
  ['Miri', 'storage: values borrowed from one', ['--test', 'it', '--', 'storage::']],
  ['Miri', 'kernels of products and convolutions', ['--lib', '--', 'kernels::']],
  ['Miri', 'kernels of every operation', ['--test', 'it', '--', 'small::'], undefined, withoutFloat16],
  [
    'Miri',
    'finds a loop that ends before its helpers have left it',
    ['--lib', '--', 'every_index_is_called_once'],
    'threads',
  ],
  ['Miri', 'finds a buffer that is not written to its end', ['--test', 'it', '--', 'storage::'], 'buffers'],
  ['Miri', 'finds a kernel that writes behind its buffer', ['--lib', '--', 'every_kernel_and_order'], 'kernels'],
  ['AddressSanitizer', 'threads: the team and its loops', ['--lib', '--', 'threads::']],
  ['AddressSanitizer', 'storage: values borrowed from one', ['--test', 'it', '--', 'storage::']],
  ['AddressSanitizer', 'kernels of products and convolutions', ['--lib', '--', 'kernels::']],
  ['AddressSanitizer', 'kernels of every operation', ['--test', 'it', '--', 'small::']],
  [
    'AddressSanitizer',
    'finds a loop that ends before its helpers have left it',
    ['--lib', '--', 'every_index_is_called_once'],
    'threads',
  ],
  [
    'AddressSanitizer',
    'finds a kernel that writes behind its buffer',
    ['--lib', '--', 'every_kernel_and_order'],
    'kernels',
  ],
].map(([tool, name, filter, fault, own]) => ({ tool: tools[tool], name: `${tool}, ${name}`, filter, fault, own }));

/** A check to run: a planted fault must be found, and without one nothing. Where no test ran, nothing was checked. */
const check = ({ tool, name, filter, fault, own }, host) => ({
  name,
  async run() {
    const env = { ...tool.env, ...own, PLANTED_FAULT: fault ?? '' };
    const { code, output } = await run(cargo, [...tool.args(host), ...filter], { env });
    const ran = [...output.matchAll(/^running (\d+) tests?$/gm)].some(([, n]) => Number(n) > 0);
    const [found] = tool.found.exec(output) ?? [];
    const good = ran && (fault === undefined ? code === 0 : code !== 0 && found !== undefined);
    const shown = good ? (found ?? '') : output.split('\n').slice(-80).join('\n');
    return { passed: good ? 1 : 0, failed: good ? 0 : 1, output: shown };
  },
});

function choose(only = '') {
  const chosen = checks.filter(({ name }) => name.includes(only));
  if (chosen.length > 0) return chosen;
  throw new Refusal(`no check has \`${only}\` in its name; they are: ${checks.map(({ name }) => name).join('; ')}`);
}

await main(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  const chosen = choose(values.only);
  needNode();
  const miri = await run(cargo, ['+nightly', 'miri', '--version']).catch(() => ({ code: 1 }));
  if (miri.code !== 0) {
    throw new Refusal(
      'npm run test:unsafe needs Miri: rustup toolchain install nightly --component miri --component rust-src',
    );
  }
  const [, host] = /^host: (.*)$/m.exec(await must('rustc -vV', cargo, ['+nightly', '-vV'])) ?? [];
  const total = await report(chosen.map((one) => check(one, host)));
  console.log(figures(total, true));
  return total.failed > 0 ? 1 : 0;
});
