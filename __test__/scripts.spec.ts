/** Each script in package.json is there and says what it does; mistakes cost one line. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { besideTheDoor, buffers } from '../scripts/lib/buffers.mjs';
import { casts, castsIn } from '../scripts/lib/casts.mjs';
import { asked, faults } from '../scripts/lib/elf.mjs';
import { platforms } from '../scripts/lib/packages.mjs';
import { circles, floors, imports, wrongImports } from '../scripts/lib/floors.mjs';
import { countCargo, countTap } from '../scripts/lib/checks.mjs';
import { licenceFault, unusedCrates } from '../scripts/lib/dependencies.mjs';
import { needNode } from '../scripts/lib/needs.mjs';
import { npmCli, pathWithoutCargo, root, run } from './support/process.js';

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
const file = (command: string): string => command.split(' ')[1] ?? '';
const lines = (text: string): string[] => text.trim().split('\n');

for (const [name, command] of Object.entries(scripts)) {
  test(`npm run ${name}: exists and explains itself`, async (t) => {
    t.regex(command, /^node scripts\/[a-z]+\.mjs/);
    t.true(existsSync(join(root, file(command))), command);
    // These two hand their flags to a program, which has its own tests and may not be there yet.
    if (name === 'start' || name === 'bench') return;
    const { code, output } = await run(process.execPath, [file(command), '--help']);
    t.is(code, 0, output);
    t.regex(output, /^npm (run )?[a-z]+/);
    t.true(output.includes('--help'));
  });

  if (name !== 'start' && name !== 'bench') {
    test(`npm run ${name}: an unknown flag is one line and a failure`, async (t) => {
      const { code, output } = await run(process.execPath, [file(command), '--nope']);
      t.is(code, 1);
      t.deepEqual(lines(output), [`Unknown option '--nope'`]);
    });
  }
}

test('npm test refuses an unknown part', async (t) => {
  const { code, output } = await run(process.execPath, ['scripts/test.mjs', '--only', 'rust,everything']);
  t.is(code, 1);
  t.deepEqual(lines(output), ['--only takes lint, codegen, rust, types, js; `everything` is none of them']);
});

test('the check of a device trains, compares and prints a table, and refuses what is no device', async (t) => {
  const args = ['scripts/device-check.mjs', '--device', 'cpu', '--steps', '2', '--only', 'steps'];
  const { code, output } = await run(process.execPath, args);
  t.is(code, 0, output);
  for (const name of ['TransformerLM', 'ReformerLM', 'LSTM', 'convolutions'])
    t.true(
      output.includes(`| 2 steps of ${name} | yes | losses at most 0.0e+0 from the CPU's; trips to the CPU: none |`),
      output,
    );
  t.true(output.includes('| the same bits twice | yes | yes |'), output);
  const refused = await run(process.execPath, ['scripts/device-check.mjs', '--device', 'gpu']);
  t.is(refused.code, 1);
  t.true(refused.output.includes('--device takes cpu, cuda:N or metal:N; got gpu'), refused.output);
});

test('npm run check:platforms names the platforms, one for each package, and refuses others', async (t) => {
  const listed = await run(process.execPath, ['scripts/platforms.mjs', '--list']);
  t.deepEqual(lines(listed.output).toSorted(), platforms());
  const { code, output } = await run(process.execPath, ['scripts/platforms.mjs', 'linux-x64-gnu', 'linux-riscv64']);
  t.is(code, 1);
  t.regex(output, /^linux-riscv64 is no platform of ours; they are linux-x64-gnu, /);
});

test('what an addon asks of the system is read, and held to the floor', (t) => {
  const told = `
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-aarch64.so.1]
  0x0010:   Name: GLIBC_2.17  Flags: none  Version: 4
  0x0020:   Name: GLIBC_2.9  Flags: none  Version: 3
  0x0030:   Name: GLIBC_2.34  Flags: none  Version: 2`;
  const found = asked(told);
  t.deepEqual(found, { libraries: ['libgcc_s.so.1', 'libc.so.6', 'ld-linux-aarch64.so.1'], glibc: '2.34' });
  t.deepEqual(faults(found, '2.28'), ['it needs glibc 2.34, newer than 2.28', 'it needs libgcc_s.so.1']);
  t.deepEqual(faults({ libraries: ['libc.so.6', 'libm.so.6'], glibc: '2.28' }, '2.28'), []);
  t.deepEqual(asked('no dynamic section'), { libraries: [], glibc: undefined });
});

test('npm run test:unsafe refuses the name of no check', async (t) => {
  const { code, output } = await run(process.execPath, ['scripts/unsafe.mjs', '--only', 'thraeds']);
  t.is(code, 1);
  t.regex(output, /^no check has `thraeds` in its name; they are: Miri, threads: the team and its loops; /);
});

test('a buffer of any size comes through its door, or is said to be short', async (t) => {
  const bad = [
    'let mut out = vec![T::default(); rows * cols];',
    'let mut sums = Vec::with_capacity(n);',
    'values.resize(items * padded, 0);',
    'let v: Vec<f32> = (0..n).map(|i| i as f32).collect();',
    'let v = xs.iter().copied().collect::<Vec<T>>();',
    'let raw = Raw::zeros((n, m), dtype, &device)?;',
  ];
  const good = [
    'let mut out = memory::zeros(rows * cols)?;',
    'let mut widths = vec![(0, 0); x.rank()];',
    'let mut back = Vec::with_capacity(order.len());',
    'let mut words = vec![0; 2 * n]; // few',
    '// vec![0; n] ends the process',
    'let shapes: Vec<usize> = axes.iter().copied().collect();',
  ];
  t.deepEqual(
    besideTheDoor(bad.join('\n')).map(({ line }) => line),
    bad.map((_, i) => i + 1),
  );
  t.deepEqual(besideTheDoor([...good, '#[cfg(test)]', ...bad].join('\n')), []);
  t.deepEqual(await buffers.run(), { passed: 1, failed: 0, output: '' });
});

test('casts of the types of the package are found, and there are none', async (t) => {
  // With another word for the one that is looked for, as this file is looked through, too.
  const text = ['const y = layer(x) @ tl.Tensor;', 'f(1 @ never);', "const k = ['a'] @ const;", '// @ never'].join(
    '\n',
  );
  t.deepEqual(castsIn(text.replaceAll('@', 'as')), [1, 2]);
  t.deepEqual(await casts.run(), { passed: 1, failed: 0, output: '' });
});

test('imports run down the floors, and in no circle', async (t) => {
  const files = {
    'lib.rs': 'mod low;\nmod high;\npub use high::{door, Roof as Top};\npub use low::floor;',
    'low.rs': 'use crate::floor_plan;\nuse std::{fmt, sync::Arc};\npub fn floor() {}',
    'high/mod.rs': 'mod door;\npub use door::door;\nuse crate::floor;\npub struct Roof;',
    'high/door.rs':
      '// use super::Roof;\nuse crate::{low::{self, floor}, other};\npub fn door() { crate::low::floor() }',
  };
  const graph = imports(files);
  t.deepEqual([...graph.get('high/door.rs')!].toSorted(), ['lib.rs', 'low.rs']);
  t.deepEqual(
    [...graph.get('high/mod.rs')!],
    ['low.rs'],
    'a name that is exported again is of the file that it comes from',
  );
  t.deepEqual(circles(imports({ ...files, 'low.rs': 'use crate::Top;' })), [['high/mod.rs', 'low.rs', 'high/mod.rs']]);
  const plain = { 'low.rs': 'pub fn floor() {}', 'high.rs': 'use crate::low::floor;' };
  t.deepEqual(wrongImports(plain, ['low', 'high'], []), []);
  t.deepEqual(wrongImports(plain, ['high', 'low'], []), ['up a floor: high.rs -> low.rs']);
  t.deepEqual(wrongImports(plain, ['high', 'low'], ['high -> low']), []);
  t.deepEqual(wrongImports(plain, ['low', 'high'], ['low -> high']), ['not needed: low -> high']);
  t.deepEqual(wrongImports(plain, ['low'], []), ['high has no floor']);
  t.deepEqual(await floors.run(), { passed: 1, failed: 0, output: '' });
});

test('without cargo a build is one line and a failure, and installs nothing first', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-scripts-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['package.json', 'package-lock.json', 'Cargo.toml', 'scripts'])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  // A path with Node and nothing else.
  mkdirSync(join(folder, 'bin'));
  symlinkSync(process.execPath, join(folder, 'bin', 'node'));
  const env = { PATH: join(folder, 'bin'), CARGO: '' };
  for (const script of ['build', 'start', 'test', 'lint', 'codegen', 'watch', 'ready']) {
    const { code, output } = await run(process.execPath, [`scripts/${script}.mjs`], { cwd: folder, env });
    t.is(code, 1, script);
    t.deepEqual(
      lines(output),
      [
        'Building tallow needs Rust, and `cargo` was not found: install it from https://rustup.rs, then open a new shell',
      ],
      script,
    );
  }
  t.false(existsSync(join(folder, 'node_modules')));
});

test('an old Node is refused, with the version that is needed', (t) => {
  for (const version of ['18.20.0', '20.18.3']) {
    t.throws(() => needNode(version), {
      message: `tallow needs Node 20.19 or newer, this is ${version}: install one from https://nodejs.org`,
    });
  }
  for (const version of ['20.19.0', '22.0.0', '26.1.0']) t.notThrows(() => needNode(version));
});

test('the lockfile names no host', (t) => {
  const text = readFileSync(join(root, 'package-lock.json'), 'utf8');
  t.notRegex(text, /"resolved"/);
});

test('npm itself can be found without a Rust toolchain on the path', async (t) => {
  const { code, output } = await run(process.execPath, [npmCli(), '--version'], { env: { PATH: pathWithoutCargo } });
  t.is(code, 0, output);
});

test('cargo test: all results are added up, and a run that did not compile is a failure', (t) => {
  const output = [
    'test result: ok. 12 passed; 0 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.1s',
    'test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s',
  ].join('\n');
  t.deepEqual(countCargo(output, 101), { passed: 15, failed: 2, skipped: 4 });
  t.deepEqual(countCargo('error[E0463]: no such crate', 101), { passed: 0, failed: 1, skipped: 0 });
});

test('ava: skipped tests are no passes, and a crash is a failure', (t) => {
  const output = ['TAP version 13', 'ok 1 - a', 'ok 2 - b # SKIP', 'not ok 3 - c', '  ok 7 inside a diagnosis'].join(
    '\n',
  );
  t.deepEqual(countTap(output, 1), { passed: 1, failed: 1, skipped: 1 });
  t.deepEqual(countTap('', 1), { passed: 0, failed: 1, skipped: 0 });
});

test('a licence is allowed by one of its alternatives, and a lacking one is told', (t) => {
  for (const licence of ['MIT', 'MIT/Apache-2.0', 'GPL-3.0-only OR ISC', '(MIT OR Apache-2.0) AND Unicode-3.0']) {
    t.is(licenceFault(licence), undefined, licence);
  }
  t.is(licenceFault('GPL-3.0-only'), 'is under GPL-3.0-only');
  t.is(licenceFault('MIT AND GPL-3.0-only'), 'is under MIT AND GPL-3.0-only');
  t.regex(licenceFault('Do what you want') ?? '', /no licence known to SPDX/);
  t.is(licenceFault(undefined), 'says nothing of its licence');
});

test('a dependency that no source names is unused', (t) => {
  const text = 'use serde_json::json;\nuse half;\n// once_cell was here\nfn f() { rayon::join(a, b) }';
  const names = ['serde_json', 'half', 'once_cell', 'rayon', 'serde'].map((name) => ({ name }));
  t.deepEqual(unusedCrates(names, text), ['once_cell', 'serde']);
  t.deepEqual(unusedCrates([{ name: 'half', rename: 'halves' }], text), ['halves']);
});
