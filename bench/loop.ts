/**
 * What a loop with five callbacks costs beside bare `Trainer.fit`: `npx tsx bench/loop.ts [pairs] [steps] [rows]`, of the package as built.
 *
 * Both do the same steps with the same trainer (of about 5 ms: rows of a batch are to be chosen for the machine), in turns, so that whatever else the machine does, and wherever the weights lie in memory,
 * falls on each alike. A ratio is that of the medians of the pairs; the time of the main thread is told too, since it depends least on what else runs.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import * as tl from 'tallow';
import { median } from './measure.js';

const DEPTH = 512;
const argument = (i: number, usual: number): number => Number(process.argv[2 + i] ?? usual);
const [PAIRS, STEPS, ROWS] = [argument(0, 20), argument(1, 500), argument(2, 400)];

const model = (): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(tl.Dense(DEPTH), tl.Relu(), tl.Dense(DEPTH), tl.Relu(), tl.Dense(10));
const optimizer = (): tl.Optimizer => tl.optimizers.Adam({ learningRate: 1e-4 });

/** The same batch over and over, in handles of their own. */
function* batches(rows: number): Generator<tl.Tensor[]> {
  const x = tl.random.normal(tl.random.key(0), [rows, DEPTH]);
  const y = tl.random.randint(tl.random.key(1), [rows], 0, 10);
  for (;;) yield [x, y].map((of) => of.reshape(of.shape));
}

/** Milliseconds a step: on the clock, and that a processor worked for the main thread. */
type Taken = readonly [wall: number, main: number];

/** Milliseconds that a processor worked for the main thread, where the system tells. */
function mainThread(): number {
  const file = '/proc/self/schedstat';
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[0]) / 1e6 : Number.NaN;
}

async function timed(run: () => Promise<unknown>): Promise<Taken> {
  const [began, before] = [performance.now(), mainThread()];
  await run();
  return [(performance.now() - began) / STEPS, (mainThread() - before) / STEPS];
}

async function trained(folder: string): Promise<{ fit: () => Promise<unknown>; loop: () => Promise<unknown> }> {
  const task = new tl.training.TrainTask(batches(ROWS), tl.CategoryCrossEntropy(), optimizer());
  const evalTasks = new tl.training.EvalTask(batches(1), tl.CategoryCrossEntropy(), { metricNames: ['loss'] });
  const loop = new tl.training.Loop(model(), task, {
    randomSeed: 0,
    evalTasks,
    outputDir: folder,
    checkpointAt: () => false,
    evalAt: (step) => step % STEPS === 0,
    callbacks: [
      new tl.training.Progress({ stream: { write: () => {} } }),
      new tl.training.JsonlLog(join(folder, 'log.jsonl')),
      new tl.training.EarlyStopping({ metric: 'loss', patience: 1_000_000 }),
      // A metric that only gets better at the first evaluation would save each time: here saving is no part of what is measured.
      new tl.training.BestCheckpoint({ metric: 'loss', mode: 'max' }),
      new tl.training.Throughput(),
    ],
  });
  const [trainer] = await loop.prepare();
  if (trainer === undefined) throw new Error('a loop has a trainer for each task');
  const fit = (): Promise<unknown> =>
    trainer.fit(batches(ROWS), { steps: STEPS, firstStep: loop.step + 1, rng: [0, 1] });
  return { fit, loop: () => loop.run(STEPS) };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-loop-'));
  const { fit, loop } = await trained(folder);
  await timed(fit);
  await timed(loop);
  const taken: (readonly [fit: Taken, loop: Taken])[] = [];
  for (let i = 0; i < PAIRS; i += 1) {
    // Who goes first changes, as the second may find a warmer or a busier machine.
    if (i % 2 === 0) taken.push([await timed(fit), await timed(loop)]);
    else {
      const second = await timed(loop);
      taken.push([await timed(fit), second]);
    }
  }
  const of = (who: 0 | 1, what: 0 | 1): number[] => taken.map((pair) => pair[who][what]);
  const differences = taken.map(([[a], [b]]) => b - a);
  const step = median(of(0, 0));
  const share = (ms: number): string => `${((100 * ms) / step).toFixed(2)} %`;
  const least = (who: 0 | 1): number => Math.min(...of(who, 0));
  console.log(
    `a step by fit: ${step.toFixed(3)} ms, least ${least(0).toFixed(3)}; by a loop: least ${least(1).toFixed(3)}`,
  );
  console.log(`a loop costs ${share(median(differences))} of a step: the median of ${PAIRS} pairs`);
  console.log(
    `the main thread works ${share(median(of(0, 1)))} of a step for fit, ${share(median(of(1, 1)))} for a loop`,
  );
  rmSync(folder, { recursive: true });
}

void main();
