/**
 * tallow as a process that a benchmark driver talks to: one JSON object a line, on standard input and output.
 *
 *   node bench/anchor.mjs --serve [--package FILE]
 *
 *   (start)                                                  {"ready":true,"pid":1}
 *   {"op":"prepare","suite":"gemm","params":{…},"threads":1} {"ok":true,"info":{"flops"?,"tokens"?,"inner"?,"build_s","first_call_s","value"?}}
 *                                                            {"ok":false,"error":"…"}; "NotImplementedError: …" for what tallow has not
 *   {"op":"run","min_s":0.3,"min_reps":2,"max_reps":500}     {"ms":[[wall,cpu],…],"peak":MiB}
 *   {"op":"end"}                                             (the process ends)
 *
 * `--package` measures another build of tallow than the one in `dist/`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { build } from './suites.mjs';

const { values } = parseArgs({ options: { serve: { type: 'boolean' }, package: { type: 'string' } } });
if (!values.serve) {
  console.error('bench/anchor.mjs serves a driver: call it with --serve, or run `npm run bench`');
  process.exit(1);
}
const tl = createRequire(import.meta.url)(
  values.package ? resolve(values.package) : join(import.meta.dirname, '..', 'dist', 'index.js'),
);

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** The most memory this process has held, in MiB. */
function peakMemory() {
  if (process.platform === 'linux')
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
  return process.resourceUsage().maxRSS / 1024;
}

let repeat;

function prepare({ suite, params, threads }) {
  tl.setNumThreads(threads);
  const begin = performance.now();
  const [f, info] = build(tl, suite, params);
  const built = performance.now();
  const value = f();
  const called = performance.now();
  f();
  repeat = f;
  const result = typeof value === 'number' || Array.isArray(value) ? { value } : {};
  return {
    ok: true,
    info: { ...info, ...result, build_s: (built - begin) / 1e3, first_call_s: (called - built) / 1e3 },
  };
}

function run({ min_s: minSeconds, min_reps: minReps, max_reps: maxReps }) {
  const ms = [];
  const begin = performance.now();
  do {
    const cpu = process.cpuUsage();
    const start = performance.now();
    repeat();
    const wall = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    ms.push([wall, (user + system) / 1e3]);
  } while (ms.length < maxReps && (ms.length < minReps || performance.now() - begin < minSeconds * 1e3));
  return { ms, peak: peakMemory() };
}

say({ ready: true, pid: process.pid });
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.op === 'end') break;
  try {
    say(message.op === 'prepare' ? prepare(message) : run(message));
  } catch (error) {
    say({ ok: false, error: String(error.message) });
  }
}
process.exit(0);
