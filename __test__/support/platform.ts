/**
 * What `npm run check:platforms` runs on the package as it is installed: golden cases, a training, files, workers. Prints one line of JSON;
 * what fails ends it.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import * as tl from '../../src/index.js';
import { readModule } from './golden/case.js';
import { hold, mended, modules } from './golden/hold.js';
import { tensorOf } from './types.js';

/** Workers that come and go, a few at a time. */
const WORKERS = 60;
const AT_ONCE = 6;

/** How many golden cases hold, and what the others say. */
function golden(): { cases: number; failures: string[] } {
  const failures: string[] = [];
  let cases = 0;
  for (const [crate, name] of modules) {
    const module = readModule(crate, name);
    for (const it of module.cases) {
      const title = `${name}/${it.id}`;
      cases += 1;
      try {
        hold(module, it, mended[title]);
      } catch (error) {
        failures.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return { cases, failures };
}

/** Points, and whether each lies in a circle. */
function batch(): tl.Tensor[] {
  const points = tl.random.uniform(tl.random.key(3), [64, 2], { minval: -1 });
  return [points, points.square().sum({ axis: 1 }).lt(0.5).cast('int32')];
}

function* batches(): Generator<tl.Tensor[]> {
  for (;;) yield batch();
}

/** Trains a small model; how the loss fell. */
async function training(): Promise<[before: number, after: number]> {
  const model = tl.Serial(tl.Dense(16), tl.Relu(), tl.Dense(2), tl.CategoryCrossEntropy());
  model.init(
    [
      { shape: [64, 2], dtype: 'float32' },
      { shape: [64], dtype: 'int32' },
    ],
    { rng: tl.random.key(0) },
  );
  const loss = (): number => Number(tensorOf(model(batch())).item());
  const before = loss();
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.02 }));
  await trainer.fit(batches(), { steps: 100, rng: tl.random.key(1) });
  return [before, loss()];
}

/** A layer with weights drawn by a seed. */
function made(seed: number): tl.Layer {
  const layer = tl.Dense(5);
  layer.init({ shape: [1, 3], dtype: 'float32' }, { rng: tl.random.key(seed) });
  return layer;
}

/** Saves a layer twice and reads it back into another: the same bits, the second time over a file that is there. */
function files(): void {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-platform-'));
  try {
    const path = join(folder, 'model.safetensors');
    for (const seed of [1, 2]) {
      const saved = made(seed);
      saved.saveToFile(path);
      const read = made(9);
      read.initFromFile(path);
      const x = [[1, 2, 3]];
      assert.deepEqual(tensorOf(read(x)).array(), tensorOf(saved(x)).array());
    }
    assert.ok(readFileSync(path).length > 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A thread of its own computes with the package, and ends. */
function worker(program: string, n: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(program, { eval: true, workerData: n });
    let got = Number.NaN;
    thread.on('message', (value: number) => (got = value));
    thread.on('error', reject);
    thread.on('exit', (code) => (code === 0 ? resolve(got) : reject(new Error(`worker ${n} ended with ${code}`))));
  });
}

async function workers(): Promise<number> {
  const program = `const tl = require(${JSON.stringify(require.resolve('tallow'))});
    const { parentPort, workerData } = require('node:worker_threads');
    parentPort.postMessage(tl.ones([workerData, 3]).matmul(tl.ones([3, 2])).sum().item());`;
  for (let n = 0; n < WORKERS; n += AT_ONCE) {
    const sums = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => worker(program, n + i + 1)));
    assert.deepEqual(
      sums,
      Array.from({ length: AT_ONCE }, (_, i) => 6 * (n + i + 1)),
    );
  }
  return WORKERS;
}

async function main(): Promise<void> {
  const { cases, failures } = golden();
  const [before, after] = await training();
  assert.ok(after < before / 2, `the loss fell from ${before} to ${after} only`);
  files();
  const seen = { node: process.version, arch: process.arch, cases, failures, workers: await workers() };
  console.log(JSON.stringify(seen));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
