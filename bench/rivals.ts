/** Who is measured: tallow, and the rivals that environment variables name. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { PythonRival } from './environment.js';

/** A program that speaks the protocol of bench/anchor.mjs. */
export interface Implementation {
  readonly name: string;
  readonly command: readonly string[];
  /** Programs of their own for some suites, by the suite's name. */
  readonly programs?: Readonly<Record<string, readonly string[]>>;
  /** The program that ends after its first `Dense(4)`. */
  readonly startup?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const bench = join(__dirname);

/** The command that builds and runs an example of one of the Rust crates. */
export const rustExample = (crate: string, example: string): readonly string[] => [
  process.env['CARGO'] || 'cargo',
  'run',
  '--release',
  '--quiet',
  '--manifest-path',
  join(bench, '..', 'Cargo.toml'),
  '-p',
  crate,
  '--example',
  example,
  '--',
];

/**
 * tallow as built here, or another build of it. An optimizer alone is no part of the package's API: what is built here is measured by a
 * Rust program.
 */
export function tallow(name = 'tallow', entry?: string): Implementation {
  return {
    name,
    ...(entry === undefined ? { programs: { optimizers: rustExample('tallow-training', 'optimizer_bench') } } : {}),
    command: [
      process.execPath,
      join(bench, 'anchor.mjs'),
      '--serve',
      ...(entry === undefined ? [] : ['--package', resolve(entry)]),
    ],
    startup: [process.execPath, join(bench, 'startup', 'dense.mjs'), ...(entry === undefined ? [] : [resolve(entry)])],
  };
}

/** The line that says why tallow is measured alone. */
export const alone = (why: string): string => `No rivals, tallow is measured alone: ${why}`;

/** A rival of our own, in a Python that has its package: PyTorch, eager, or JAX, compiled, which has the recurrent layers only. */
export function pythonRival(name: PythonRival, python: string): Implementation {
  const script = (part: string): string[] => [python, '-W', 'ignore', join(bench, 'rivals', `${name}_${part}.py`)];
  return { name, command: script('rival'), startup: script('dense') };
}

/**
 * The rivals that environment variables name: BENCH_TORCH_PY and BENCH_JAX_PY, a Python with PyTorch, one with JAX. Those with programs of
 * their own elsewhere also need BENCH_ANCHORS, the folder of these programs: BENCH_TORCH_PY, BENCH_JAX_PY, BENCH_TRAX_PY with
 * BENCH_TRAX_SRC, BENCH_JS (a folder with tfjs and onnxruntime-node); and BENCH_RS, a folder with anchor-rs-v3 and anchor-rs-v4.
 *
 * @param env - environment variables
 */
export function rivals(env: NodeJS.ProcessEnv): Implementation[] {
  const anchors = env['BENCH_ANCHORS'];
  const found: Implementation[] = [];
  const rust = env['BENCH_RS'];
  for (const version of rust ? ['v3', 'v4'] : []) {
    const program = join(rust!, `anchor-rs-${version}`);
    if (existsSync(program)) found.push({ name: `gemm-${version}`, command: [program, '--impl', 'gemm', '--serve'] });
  }
  if (anchors === undefined || anchors === '') {
    for (const name of ['torch', 'jax'] as const) {
      const program = env[`BENCH_${name.toUpperCase()}_PY`];
      if (program) found.push(pythonRival(name, program));
    }
    return found;
  }
  const script = (...parts: string[]): string => resolve(anchors, ...parts);
  const python = (name: string, program: string | undefined, env: Record<string, string> = {}): void => {
    if (program === undefined || program === '') return;
    found.push({
      name,
      command: [program, '-W', 'ignore', script(`${name}_anchor.py`), '--serve'],
      startup: [program, '-W', 'ignore', script('startup', `${name}_dense.py`)],
      env,
    });
  };
  python('torch', env['BENCH_TORCH_PY']);
  python('jax', env['BENCH_JAX_PY']);
  python('trax', env['BENCH_TRAX_PY'], { PYTHONPATH: env['BENCH_TRAX_SRC'] ?? '' });
  if (env['BENCH_JS']) {
    for (const name of ['tfjs-wasm', 'tfjs-cpu']) {
      found.push({
        name,
        command: [process.execPath, script('tfjs_anchor.mjs'), '--impl', name, '--serve'],
        startup: [process.execPath, script('startup', 'tfjs_dense.mjs'), name],
      });
    }
    found.push({
      name: 'ort-node',
      command: [process.execPath, script('ort_anchor.mjs')],
      startup: [process.execPath, script('startup', 'ort_dense.mjs')],
    });
  }
  return found;
}
