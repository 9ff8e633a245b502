/** Begins workers that train, and ends each in mid-training; writes what memory holds before and after. Run with --expose-gc. */
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const { isMainThread, parentPort, Worker } = require('node:worker_threads');
const tl = require('../../../dist/index.js');

/** Before the base is measured, so that what is made once is there. */
const FIRST = 8;
const WORKERS = 64;

async function train() {
  const model = tl.Serial(tl.Dense(64), tl.Relu(), tl.Dense(8), tl.L2Loss());
  const shapes = [[32, 64], [32, 8], [32, 8]]; // prettier-ignore
  model.init(shapes.map((shape) => ({ shape, dtype: 'float32' })), { rng: [1, 2] }); // prettier-ignore
  function* batches() {
    for (;;) yield shapes.map((shape) => tl.ones(shape));
  }
  const trainer = new tl.Trainer(model, tl.optimizers.Adam());
  await trainer.fit(batches(), {
    steps: 1e6,
    rng: [3, 4],
    reportEveryMs: 1,
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    onProgress: ({ done }) => done > 1 && parentPort.postMessage('training'),
  });
}

/** One worker, from its beginning to its end in mid-training. */
async function one() {
  const worker = new Worker(__filename);
  const [message] = await Promise.race([once(worker, 'message'), once(worker, 'exit')]);
  if (message !== 'training') throw new Error(`a worker ended by itself, with ${message}`);
  await worker.terminate();
}

/** So many workers, four at a time, so that some begin while others train and end. */
async function several(count) {
  for (let i = 0; i < count; i += 4) await Promise.all([one(), one(), one(), one()]);
}

/** What memory holds, once what ended workers held is gone. */
async function held() {
  for (let i = 0; i < 100; i += 1) {
    globalThis.gc();
    await sleep(20);
    if (tl.memory().bytes === 0) break;
  }
  const { tensors, layers, bytes } = tl.memory();
  return { tensors, layers, bytes, rss: process.memoryUsage().rss };
}

async function main() {
  await several(FIRST);
  const before = await held();
  await several(WORKERS);
  console.log(JSON.stringify({ before, after: await held(), sum: tl.ones([2, 3]).sum().item() }));
}

void (isMainThread ? main() : train());
