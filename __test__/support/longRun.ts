/** A run of 20,000 steps, in a process of its own: prints by how many MiB its memory grew. With `leak` each step keeps a tensor. */
import * as tl from '../../src/index.js';

const STEPS = 20_000;
/** Steps before it is measured: by then V8 has made room for what lives shortly, once for all. */
const FIRST = 10_000;
const kept: tl.Tensor[] = [];

const x = tl.random.normal(tl.random.key(0), [4, 3]);
const data = [[x, x.sum({ axis: 1, keepdims: true }), tl.ones([4, 1])]];
const evaluated = new tl.training.EvalTask(data, tl.L2Loss(), { metricNames: ['loss'] });
const train = new tl.training.TrainTask(
  (function* () {
    for (;;) yield data[0]!.map((t) => t.add(0));
  })(),
  tl.L2Loss(),
  tl.optimizers.Adam(),
  { nStepsPerCheckpoint: 1000 },
);
const leak: tl.training.Callback = { onStep: () => void kept.push(tl.zeros([512])) };
const loop = new tl.training.Loop(tl.Serial(tl.Dense(4), tl.Relu(), tl.Dense(1)), train, {
  randomSeed: 0,
  evalTasks: evaluated,
  callbacks: [
    new tl.training.EarlyStopping({ metric: 'loss', patience: 1000 }),
    new tl.training.Throughput(),
    new tl.training.StopAt({ seconds: 1000 }),
    ...(process.argv.includes('leak') ? [leak] : []),
  ],
});

async function settledMemory(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    global.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage.rss();
}

async function main(): Promise<void> {
  await loop.run(FIRST);
  const before = await settledMemory();
  await loop.run(STEPS);
  const after = await settledMemory();
  console.log(JSON.stringify({ steps: loop.step, grownMiB: (after - before) / 2 ** 20, kept: kept.length }));
}

void main();
