/** `npm run bench`: measures, prints a table, draws a chart. `npm run bench -- --help` lists the flags. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { drawChart } from './chart.js';
import { type Case, type Failure, measure, measureStartup, type Result } from './measure.js';
import { pythonIn } from './environment.js';
import { type Cases, type Options, parseOptions } from './options.js';
import { measurePeak } from './peak.js';
import { memory, table, time, verdicts } from './report.js';
import { alone, type Implementation, pythonRival, rivals, tallow } from './rivals.js';

const all = JSON.parse(readFileSync(join(__dirname, 'cases.json'), 'utf8')) as Cases;

function chosen(options: Options): Case[] {
  return Object.entries(all)
    .filter(([suite]) => options.suite?.includes(suite) ?? true)
    .flatMap(([suite, cases]) => Object.entries(cases).map(([name, params]) => ({ suite, name, params })))
    .filter(({ name }) => options.case?.includes(name) ?? true)
    .flatMap((c) => options.threads.map((threads) => ({ ...c, threads })));
}

/** The rivals that are set up; if none is, PyTorch and JAX in an environment of their own, made by BENCH_PYTHON in the folder BENCH_PYTHON_ENV. */
function opponents(): Implementation[] {
  const named = rivals(process.env);
  if (named.length > 0) return named;
  const folder = process.env['BENCH_PYTHON_ENV'] || join('runs', 'bench-python');
  const made = pythonIn(resolve(folder), process.env['BENCH_PYTHON'] || 'python3', console.log);
  if ('program' in made) {
    for (const [name, why] of made.missing) console.log(`Without ${name}: ${why}`);
    return made.has.map((name) => pythonRival(name, made.program));
  }
  console.log(`${alone(made.why)}\n`);
  return [];
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2), all);
  const others = options.rivals ? opponents() : [];
  const implementations = [
    tallow(),
    ...(options.beside === undefined ? [] : [tallow('beside', options.beside)]),
    ...others,
  ];
  console.log(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} CPUs, load ${loadavg()[0]!.toFixed(1)}; measured: ${implementations.map(({ name }) => name).join(', ')}`,
  );

  const cases = chosen(options);
  const peaks =
    options.peak && cases.some(({ suite }) => suite === 'gemm')
      ? await measurePeak(options.threads)
      : new Map<number, number>();
  for (const [threads, rate] of peaks)
    console.log(
      `peak of the processor, ${threads} ${threads === 1 ? 'thread' : 'threads'}: ${rate.toFixed(0)} GFLOP/s`,
    );
  const results: Result[] = [];
  const failures: Failure[] = [];
  const note = (found: { results: Result[]; failures: Failure[] }): void => {
    results.push(...found.results);
    failures.push(...found.failures);
    for (const r of found.results)
      console.log(
        `  ${r.suite} ${r.case}${r.threads === 0 ? '' : ` (${r.threads})`}  ${r.implementation}: ${time(r.min)}`,
      );
  };
  const startup = (options.suite?.includes('startup') ?? true) && options.case === undefined;
  if (startup) note(await measureStartup(implementations, Math.max(options.rounds, 3)));
  const length = { minSeconds: options.minSeconds, minReps: 2, maxReps: 500 };
  for (const c of cases) note(await measure(c, implementations, options.rounds, length));

  console.log(`\n${table(results, peaks)}`);
  if (startup)
    console.log('startup: from the start of a process to its end; an empty script is the part that is Node’s own.');
  for (const line of verdicts(results)) console.log(line);
  console.log(`\n${memory(results)}`);
  for (const { suite, case: name, threads, implementation, error } of failures)
    console.log(`failed: ${implementation} at ${suite} ${name} (${threads}): ${error}`);

  mkdirSync(options.out, { recursive: true });
  const file = join(options.out, 'results.json');
  writeFileSync(
    file,
    `${JSON.stringify({ processor: cpus()[0]?.model, peaks: Object.fromEntries(peaks), results, failures }, null, 2)}\n`,
  );
  const picture = join(options.out, 'chart.svg');
  if (results.length > 0) writeFileSync(picture, await drawChart(results));
  console.log(`\nResults  ${file}${results.length > 0 ? `\nChart    ${picture}` : ''}`);
  if (failures.some(({ implementation }) => implementation === 'tallow')) process.exitCode = 1;
}

void main();
