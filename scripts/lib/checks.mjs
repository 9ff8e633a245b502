import { buffers } from './buffers.mjs';
import { casts } from './casts.mjs';
import { licences, unused } from './dependencies.mjs';
import { floors } from './floors.mjs';
import { stale } from './generated.mjs';
import { cargoEnv } from './native.mjs';
import { cargo, tool } from './needs.mjs';
import { freshNotices } from './notices.mjs';
import { outcome } from './report.mjs';
import { must, run } from './run.mjs';
import { workflows } from './workflows.mjs';

/** One check: its name, and a run that resolves to how many tests passed, failed and were skipped, with the output worth showing. */
const command = (name, program, args) => ({
  name,
  async run() {
    return outcome(await run(program, args(), { env: cargoEnv() }));
  },
});
const node = (name, args) => command(name, process.execPath, args);

/** What `npm run lint` runs, the quick ones first. */
export const lint = [
  buffers,
  casts,
  floors,
  unused,
  licences,
  freshNotices,
  workflows,
  command('cargo fmt', cargo, () => ['fmt', '--all', '--check']),
  node('prettier', () => [tool('prettier'), '--check', '--log-level=warn', '.']),
  node('oxlint', () => [tool('oxlint'), '--deny-warnings']),
  node('tsc', () => [tool('typescript', 'tsc'), '--noEmit']),
  command('clippy', cargo, () => 'clippy --workspace --all-targets --release --quiet -- -D warnings'.split(' ')),
];

/** Lets rustfmt, oxlint and Prettier mend what they can. */
export async function mend() {
  await must('cargo fmt', cargo, ['fmt', '--all']);
  await must('oxlint --fix', process.execPath, [tool('oxlint'), '--fix']);
  await must('prettier --write', process.execPath, [tool('prettier'), '--write', '--log-level=warn', '.']);
}

/** The compile-only tests of the published types. */
export const types = node('type tests', () => [tool('typescript', 'tsc'), '-p', 'tsconfig.types.json']);

/** Whether the reference can be written without a warning: each name documented, each link alive. */
export const reference = node('typedoc', () => [tool('typedoc'), '--emit', 'none']);

/** Whether the generated sources and pages are what the layer registry gives. */
export const codegen = {
  name: 'codegen',
  async run() {
    const { refused, files } = await stale();
    const output = refused || files.map(({ path }) => `${path} is out of date; run \`npm run codegen\``).join('\n');
    return { passed: output ? 0 : 1, failed: output ? 1 : 0, output };
  },
};

/** The Rust tests of some crates, documentation examples included, in a profile. */
const rustTests = (name, args) => ({
  name,
  async run() {
    // Left to itself, cargo builds all benches among the examples too, which clippy has already seen to.
    const parts = [['--lib', '--bins', '--tests'], ['--doc']];
    const total = { passed: 0, failed: 0, skipped: 0, output: '' };
    for (const part of parts) {
      const { code, output } = await run(cargo, ['test', '--no-fail-fast', ...part, ...args], { env: cargoEnv() });
      const counts = countCargo(output, code);
      for (const kind of Object.keys(counts)) total[kind] += counts[kind];
      if (code !== 0) total.output += rustFailures(output);
    }
    return total;
  },
});

/** The Rust tests of the whole workspace, each crate with debug assertions and checks for integer overflow (Cargo.toml says in which profile). */
export const rust = [
  rustTests('cargo test (tensors)', ['--profile', 'bench', '-p', 'tallow-tensor']),
  rustTests('cargo test (all others)', ['--release', '--workspace', '--exclude', 'tallow-tensor']),
];

/** The TypeScript tests: all, or those of the given files. */
export const javascript = (specs = []) => ({
  name: 'ava',
  async run() {
    const { code, output } = await run(process.execPath, [tool('ava'), '--tap', ...specs]);
    return { ...countTap(output, code), output: code === 0 ? '' : tapFailures(output) };
  },
});

/** Counts what `cargo test` printed; ignored tests are skipped. A run that failed without naming a test (it did not compile) is one failure. */
export function countCargo(output, code) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const [, p, f, i] of output.matchAll(/^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored;/gm)) {
    total.passed += Number(p);
    total.failed += Number(f);
    total.skipped += Number(i);
  }
  return { ...total, failed: code !== 0 && total.failed === 0 ? 1 : total.failed };
}

/** Counts what `ava --tap` printed; skipped and expected-to-fail tests are not passes. */
export function countTap(output, code) {
  const skipped = [...output.matchAll(/^ok \d+ .*# SKIP/gim)].length;
  const todo = [...output.matchAll(/^not ok \d+ .*# TODO/gim)].length;
  const passed = [...output.matchAll(/^ok \d+/gm)].length - skipped;
  const failed = [...output.matchAll(/^not ok \d+/gm)].length - todo;
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, skipped };
}

function rustFailures(output) {
  const lines = output.split('\n');
  const compileError = lines.findIndex((line) => /^error(\[|:)/.test(line));
  const start = lines.findIndex((line) => line === 'failures:');
  const from = start >= 0 ? start : Math.max(compileError, 0);
  return lines
    .slice(from)
    .filter((line) => !/^test .* \.\.\. ok$/.test(line))
    .slice(0, 200)
    .join('\n');
}

/** The `not ok` blocks of a TAP stream, with their diagnostics. */
function tapFailures(output) {
  const kept = [];
  let keep = false;
  for (const line of output.split('\n')) {
    if (/^(not )?ok \d+/.test(line)) keep = line.startsWith('not ok');
    if (keep && !/^(1\.\.|# )/.test(line)) kept.push(line);
  }
  return kept.length > 0 ? kept.join('\n') : output;
}
