/** The benchmarks' protocol, values and report; no test rests on a time. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { drawChart } from '../bench/chart.js';
import { measure, type Result, summarize } from '../bench/measure.js';
import { memory, table, time, verdicts } from '../bench/report.js';
import { pythonIn } from '../bench/environment.js';
import { alone, pythonRival, rivals, tallow } from '../bench/rivals.js';
import { NotAvailable, Worker } from '../bench/worker.js';
import { root, run } from './support/process.js';

const once = { minSeconds: 1e-3, minReps: 2, maxReps: 3 };
const lm = { vocab: 16, d_model: 8, d_ff: 16, layers: 1, heads: 2 };

test('a case through the protocol: it is prepared, repeated, ended', async (t) => {
  const [worker, info] = await Worker.prepare(tallow(), 'gemm', { b: 2, m: 3, k: 4, n: 5 }, 1);
  t.is(info.flops, 240);
  const { ms, peak } = await worker.run(once);
  t.true(ms.length >= 2 && ms.length <= 3);
  t.true(ms.every(([wall, cpu]) => wall >= 0 && cpu >= 0));
  t.true(peak > 1);
  await worker.end();
});

test('a training step of a Transformer starts at the loss of a guess, and learns', async (t) => {
  const [worker, { value, tokens }] = await Worker.prepare(tallow(), 'train_lm', { ...lm, batch: 2, length: 4 }, 1);
  t.teardown(() => worker.end());
  t.is(tokens, 8);
  t.true(Math.abs((value as number) - Math.log(16)) < 1.5, String(value));
});

/** What one repetition of a case gives. */
const valueOf = async (suite: string, params: object): Promise<unknown> => {
  const [worker, { value }] = await Worker.prepare(tallow(), suite, params, 1);
  await worker.end();
  return value;
};

test('a prompt is followed by one id, and a translation is the same with a cache and without', async (t) => {
  const [id, ...others] = (await valueOf('prompt', { ...lm, batch: 1, length: 6 })) as number[];
  t.true(Number.isInteger(id) && id! >= 0 && id! < 16 && others.length === 0);
  const cached = (await valueOf('translate', { ...lm, batch: 3, tokens: 4, cached: true })) as number[];
  t.is(cached.length, 12);
  t.deepEqual(await valueOf('translate', { ...lm, batch: 3, tokens: 4, cached: false }), cached);
});

test('decoding gives as many ids of the vocabulary as asked for', async (t) => {
  const [worker, { value }] = await Worker.prepare(tallow(), 'decode', { ...lm, batch: 1, tokens: 6 }, 1);
  t.teardown(() => worker.end());
  const ids = value as number[];
  t.is(ids.length, 6);
  t.true(ids.every((id) => Number.isInteger(id) && id >= 0 && id < 16));
});

test('every elementwise case runs', async (t) => {
  const kinds = [
    { kind: 'layernorm', rows: 2, cols: 4 },
    { kind: 'xent', rows: 2, cols: 4 },
    { kind: 'gelu', n: 4 },
    { kind: 'gelu_fb', n: 4 },
    { kind: 'embgrad', vocab: 8, d: 4, ids: 3 },
    { kind: 'dropout', n: 8, rate: 0.5 },
  ];
  for (const params of kinds) {
    const { results, failures } = await measure(
      { suite: 'elementwise', name: params.kind, params, threads: 1 },
      [tallow()],
      1,
      once,
    );
    t.deepEqual(failures, []);
    t.is(results.length, 1, params.kind);
  }
});

test('every recurrent case runs', async (t) => {
  for (const cell of ['lstm', 'gru', 'sru']) {
    const params = { cell, units: 3, batch: 2, length: 4 };
    const { results, failures } = await measure({ suite: 'rnn', name: cell, params, threads: 1 }, [tallow()], 1, once);
    t.deepEqual(failures, []);
    t.is(results.length, 1, cell);
  }
});

test('every conv case runs', async (t) => {
  for (const kind of ['conv', 'maxpool', 'batchnorm']) {
    const params = { kind, b: 1, h: 4, w: 2, c: 3 };
    const { results, failures } = await measure({ suite: 'conv', name: kind, params, threads: 1 }, [tallow()], 1, once);
    t.deepEqual(failures, []);
    t.is(results.length, 1, kind);
  }
});

test('what tallow has not is passed over; what fails is reported', async (t) => {
  await t.throwsAsync(Worker.prepare(tallow(), 'brewing', {}, 1), {
    instanceOf: NotAvailable,
    message: 'NotImplementedError: brewing',
  });
  const c = { suite: 'gemm', name: 'none', params: { b: 1, m: 2, k: 2, n: 2 }, threads: 1 };
  const gone = { name: 'gone', command: [process.execPath, '-e', ''] };
  const { results, failures } = await measure(c, [gone, tallow()], 2, once);
  t.deepEqual(
    results.map(({ implementation }) => implementation),
    ['tallow'],
  );
  t.deepEqual(
    failures.map(({ implementation, error }) => [implementation, error]),
    [['gone', 'the process ended']],
  );
});

test('the first result of a Dense(4) has four numbers', async (t) => {
  const { code, output } = await run(process.execPath, ['bench/startup/dense.mjs']);
  t.deepEqual([code, output.trim()], [0, '4']);
});

test('rivals are those that the environment names', (t) => {
  t.deepEqual(rivals({}), []);
  const own = [pythonRival('torch', '/py'), pythonRival('jax', '/other')];
  t.deepEqual(rivals({ BENCH_TORCH_PY: '/py', BENCH_JAX_PY: '/other', BENCH_ANCHORS: '' }), own);
  t.deepEqual(rivals({ BENCH_JAX_PY: '/other' }), own.slice(1));
  for (const { command, startup } of own) t.true(existsSync(command.at(-1)!) && existsSync(startup!.at(-1)!));
  const env = { BENCH_ANCHORS: '/anchors', BENCH_TORCH_PY: '/py', BENCH_JS: '/js' };
  t.deepEqual(
    rivals(env).map(({ name }) => name),
    ['torch', 'tfjs-wasm', 'tfjs-cpu', 'ort-node'],
  );
  t.deepEqual(rivals(env)[0]!.command, ['/py', '-W', 'ignore', '/anchors/torch_anchor.py', '--serve']);
});

const c = { suite: 'gemm', name: 'small', params: {}, threads: 1 };
const own = summarize(
  c,
  'tallow',
  { flops: 4e9 },
  [
    [4, 5],
    [2, 3],
    [3, 3],
  ],
  10,
);
const rival = summarize(
  c,
  'rival',
  {},
  [
    [6, 6],
    [3, 3],
  ],
  10,
);

test('a summary keeps the least, the median and the rate', (t) => {
  const { min, median, cpu, rate, rateUnit } = own;
  t.deepEqual({ min, median, cpu, rate, rateUnit }, { min: 2, median: 3, cpu: 3, rate: 2000, rateUnit: 'GFLOP/s' });
  t.is(summarize(c, 'tallow', { inner: 1000 }, [[1, 1]], 0).min, 1e-3);
});

test('the table shows rates, the share of the peak, and ratios', (t) => {
  const [head, row] = table([own, rival], new Map([[1, 2500]])).split('\n');
  t.deepEqual(head!.trim().split(/ {2,}/), ['threads', 'least', 'median', 'rate', 'of peak', 'rival']);
  t.deepEqual(row!.split(/ {2,}/), ['gemm small', '1', '2.00 ms', '3.00 ms', '2,000 GFLOP/s', '80 %', '1.50×']);
  t.deepEqual(verdicts([own, rival]), ['rival: tallow is the faster in 1 of 1 cases; median ratio 1.50×']);
  t.deepEqual([5.6e-4, 0.0251, 2.513, 1200].map(time), ['560 ns', '25.1 µs', '2.51 ms', '1.20 s']);
});

test('the memory table has a column each', (t) => {
  t.deepEqual(
    memory([own, rival])
      .split('\n')
      .map((row) => row.trim().split(/ {2,}/)),
    [
      ['peak memory, MiB', 'threads', 'tallow', 'rival'],
      ['gemm small', '1', '10', '10'],
    ],
  );
  t.is(memory([]), 'No memory was measured.');
});

test('an environment that cannot be made leaves nothing behind', (t) => {
  const folder = join(mkdtempSync(join(tmpdir(), 'tallow-python-')), 'environment');
  t.teardown(() => rmSync(join(folder, '..'), { recursive: true, force: true }));
  const said: string[] = [];
  t.deepEqual(
    pythonIn(folder, join(folder, 'none'), (line) => said.push(line)),
    { why: `${join(folder, 'none')}: there is no such program` },
  );
  t.deepEqual([said, existsSync(folder)], [[], false]);
});

test('a rival without a package for this machine is left out', (t) => {
  if (process.platform === 'win32') {
    t.pass('the Python of this test is a shell script');
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'tallow-python-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  // Makes an "environment" of a copy of itself, and fails at whatever names JAX.
  const base = join(folder, 'python');
  const lines = [
    '#!/bin/sh',
    'case "$*" in',
    `*"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;`,
    '*jax*) echo "ERROR: no jax here" >&2; exit 1 ;;',
    'esac',
  ];
  writeFileSync(base, `${lines.join('\n')}\n`, { mode: 0o755 });
  const said: string[] = [];
  const made = {
    program: join(folder, 'environment', 'bin', 'python'),
    has: ['torch'],
    missing: new Map([['jax', 'ERROR: no jax here']]),
  };
  for (const turn of ['made', 'found again'])
    t.deepEqual(
      pythonIn(join(folder, 'environment'), base, (line) => said.push(line)),
      made,
      turn,
    );
  t.is(said.length, 1);
});

test('the programs of the rivals speak the protocol', async (t) => {
  const tried = [['--version'], ['-c', 'import torch'], ['-c', 'import jax']].map((args) =>
    run('python3', args).then(
      (r) => r.code,
      () => 1,
    ),
  );
  const [code, torch, jax] = await Promise.all(tried);
  if (code !== 0) {
    t.pass('there is no Python');
    return;
  }
  const program = `import sys; sys.path.insert(0, 'bench/rivals'); from serve import serve
def build(suite, params, threads):
    if suite != 'sum': raise NotImplementedError(suite)
    return (lambda: float(sum(params['xs']))), {'flops': len(params['xs'])}
serve(build)`;
  const rival = { name: 'python', command: ['python3', '-c', program] };
  const [worker, info] = await Worker.prepare(rival, 'sum', { xs: [1, 2, 4] }, 1);
  t.deepEqual([info.value, info.flops], [7, 3]);
  const { ms, peak } = await worker.run(once);
  t.true(ms.length >= 2 && ms.length <= 3 && peak > 1);
  await worker.end();
  await t.throwsAsync(Worker.prepare(rival, 'brewing', {}, 1), { instanceOf: NotAvailable });
  if (torch === 0) {
    const [lm, { value }] = await Worker.prepare(
      pythonRival('torch', 'python3'),
      'train_lm',
      { vocab: 16, d_model: 8, d_ff: 16, layers: 1, heads: 2, batch: 2, length: 4 },
      1,
    );
    t.true(Math.abs((value as number) - Math.log(16)) < 1.5);
    await lm.end();
  }
  for (const cell of jax === 0 ? ['lstm', 'gru', 'sru'] : []) {
    const [rnn, { tokens }] = await Worker.prepare(
      pythonRival('jax', 'python3'),
      'rnn',
      { cell, units: 3, batch: 2, length: 4 },
      1,
    );
    t.is(tokens, 8, cell);
    await rnn.end();
  }
});

test('the chart has a row a case and names every implementation', async (t) => {
  const svg = await drawChart([own, rival]);
  t.regex(svg, /^<svg/);
  for (const text of ['gemm small, 1 thread', 'tallow', 'rival']) t.true(svg.includes(text), text);
});

test('npm run bench measures one case, prints it, writes results and a chart', async (t) => {
  const out = mkdtempSync(join(tmpdir(), 'tallow-bench-'));
  t.teardown(() => rmSync(out, { recursive: true, force: true }));
  const flags = ['--case', 'add4', '--threads', '1', '--rounds', '1', '--min-seconds', '0.001', '--out', out];
  const unset = ['ANCHORS', 'RS', 'JS', 'TORCH_PY', 'JAX_PY', 'TRAX_PY'].map((name) => [`BENCH_${name}`, '']);
  // An environment that an earlier `npm run bench` made here is not to be found.
  const python = { BENCH_PYTHON: join(out, 'python'), BENCH_PYTHON_ENV: join(out, 'environment') };
  const env = { ...Object.fromEntries(unset), ...python };
  const { code, output } = await run(process.execPath, ['--import=tsx', 'bench/main.ts', ...flags], { env });
  t.is(code, 0, output);
  const why = `${join(out, 'python')}: there is no such program`;
  t.true(output.startsWith(`${alone(why)}\n`), output);
  t.regex(output, /^peak memory, MiB +threads +tallow$/m);
  t.regex(output, /^js_overhead add4 +1 /m);
  const { results } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as { results: Result[] };
  t.deepEqual(
    results.map((r) => [r.suite, r.case, r.threads, r.implementation]),
    [['js_overhead', 'add4', 1, 'tallow']],
  );
  t.true(readFileSync(join(out, 'chart.svg'), 'utf8').startsWith('<svg'));
});

test('an unknown suite, case or flag is one line and a failure', async (t) => {
  for (const [flags, message] of [
    [['--suite', 'brewing'], /^--suite: there is no suite brewing; there are gemm, /],
    [['--case', 'tea'], /^--case: there is no case tea; /],
    [['--nope'], /^unknown option '--nope'/],
  ] as const) {
    const { code, output } = await run(process.execPath, ['--import=tsx', 'bench/main.ts', ...flags]);
    t.is(code, 1);
    t.is(output.trim().split('\n').length, 1, output);
    t.regex(output, message);
  }
});

test('the cases are those that the suites know', (t) => {
  const cases = JSON.parse(readFileSync(join(root, 'bench', 'cases.json'), 'utf8'));
  t.deepEqual(Object.keys(cases), [
    'gemm',
    'train_lm',
    'lsh',
    'reversible',
    'decode',
    'prompt',
    'translate',
    'rnn',
    'conv',
    'elementwise',
    'optimizers',
    'js_overhead',
  ]);
});

test('a loop is measured beside fit, and ends with nothing left over', async (t) => {
  const { code, output } = await run(process.execPath, ['--import=tsx', join(root, 'bench', 'loop.ts'), '2', '3']);
  t.is(code, 0, output);
  const [fit, loop, main] = output.trimEnd().split('\n');
  t.regex(fit!, /^a step by fit: \d+\.\d{3} ms, least \d+\.\d{3}; by a loop: least \d+\.\d{3}$/);
  t.regex(loop!, /^a loop costs -?\d+\.\d\d % of a step: the median of 2 pairs$/);
  t.regex(main!, /^the main thread works (?:\d+\.\d\d|NaN) % of a step for fit, (?:\d+\.\d\d|NaN) % for a loop$/);
});
