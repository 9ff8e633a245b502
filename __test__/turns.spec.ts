/** Models that serve and train side by side: neither waits for more than a step of the other. */
import { once } from 'node:events';
import test from 'ava';
import * as tl from '../src/index.js';
import { endWorkers, working } from './support/worker.js';

test.after.always(endWorkers);

/** How many steps the loop makes. */
const STEPS = 30;
/** More of the others than may pass by between two of one's own: the one under way, and one that came first. */
const PASSED = 2;

/** After how many calls the loop begins: all that are made at a time are under way. */
const UNDER_WAY = 20;

/** What both workers know. */
const AT = { steps: 0, calls: 1, hasEnded: 2 } as const;

/**
 * A layer that counts itself in one place and looks at another: how many of the others there were since it last did so. Its function runs while its model
 * has the turn, so nothing else computes meanwhile, and no message is on its way. What runs it before, to make weights, does not count.
 */
const COUNTING = `
  const passed = [];
  let [isCounting, last] = [false, undefined];
  const counting = (own, other) => tl.Fn('Counting', (y) => {
    if (!isCounting) return y;
    Atomics.add(data.counts, own, 1);
    const now = Atomics.load(data.counts, other);
    if (last !== undefined) passed.push(now - last);
    last = now;
    return y;
  });`;

/** Trains from when the other model is at work, and posts how many of its calls passed between two steps. */
const TRAINING = `${COUNTING}
  const model = tl.Serial(tl.Dense(512), tl.Relu(), tl.Dense(512), counting(${AT.steps}, ${AT.calls}), tl.L2Loss());
  const signature = { shape: [128, 512], dtype: 'float32' };
  model.init([signature, signature, signature]);
  function* batches() { for (;;) yield [tl.ones([128, 512]), tl.zeros([128, 512]), tl.ones([128, 512])]; }
  const train = async () => {
    const trainer = new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 1e-3 }));
    while (Atomics.load(data.counts, ${AT.calls}) < ${UNDER_WAY}) await new Promise(setImmediate);
    isCounting = true;
    await trainer.fit(batches(), { steps: ${STEPS}, rng: [0, 1] });
    Atomics.store(data.counts, ${AT.hasEnded}, 1);
    post(passed);
  };
  train();`;

/** Three at a time, so that the next one waits already; a loop that would never have its turn is seen by what passed. */
const repeated = (call: string): string => `
  const goOn = async (which) => {
    for (let i = 0; i < 300 && Atomics.load(data.counts, ${AT.hasEnded}) === 0; i += 1) ${call};
  };
  isCounting = true;
  Promise.all([0, 1, 2].map(goOn)).then(() => post(passed));`;

/** Calls a model until the training has ended, and posts how many steps passed between two calls. */
const CALLING = `${COUNTING}
  const model = tl.Serial(tl.fromShared(data.token), counting(${AT.calls}, ${AT.steps}));
  const input = tl.ones([256, 256]);
  ${repeated('tl.dispose(await model.callAsync(input))')}`;

/** The same of the steps of decoders. There are three, as one has nothing to do until its thread has heard of its last steps. */
const DECODING = `${COUNTING}
  const head = counting(${AT.calls}, ${AT.steps});
  head.init({ shape: [1, 1, 256], dtype: 'float32' });
  const decoders = [0, 1, 2].map(() => new tl.decoding.Decoder(tl.Serial(tl.fromShared(data.token), head)));
  ${repeated('await decoders[which].sample([3], { temperature: 0, maxTokens: 50 })')}`;

/** Lets a model be served beside a loop. @returns how many calls passed between steps, and how many steps between calls */
async function sideBySide(model: tl.Layer, serving: string): Promise<{ calls: number[]; steps: number[] }> {
  const counts = new Int32Array(new SharedArrayBuffer(4 * Object.keys(AT).length));
  const workers = [working(TRAINING, { counts }), working(serving, { counts, token: model.share() })];
  const told = await Promise.all(workers.map((worker) => once(worker, 'message')));
  const [calls, steps] = told.map(([passed]) => passed as number[]);
  return { calls: calls!, steps: steps! };
}

const most = (counts: readonly number[]): number => counts.reduce((a, b) => Math.max(a, b), 0);

test.serial('a call waits for one step of a loop of another worker, and a step for one call', async (t) => {
  const model = tl.Serial(tl.Dense(1024), tl.Relu(), tl.Dense(1024));
  model.init({ shape: [256, 256], dtype: 'float32' }, { rng: tl.random.key(0) });
  const { calls, steps } = await sideBySide(model, CALLING);
  t.is(calls.length, STEPS - 1);
  t.true(most(calls) <= PASSED, `calls between steps: ${calls.join(', ')}`);
  t.true(most(steps) <= PASSED, `steps between calls: ${steps.join(', ')}`);
  t.true(steps.filter((n) => n > 0).length >= STEPS / 2, `they ran one after the other: ${steps.join(', ')}`);
});

test.serial('a step of decoding waits for one step of a loop of another worker', async (t) => {
  const model = tl.models.TransformerLM(256, { dModel: 128, dFf: 256, nLayers: 2, nHeads: 2, maxLen: 64 });
  model.init({ shape: [1, 1], dtype: 'int32' }, { rng: tl.random.key(0) });
  const { calls, steps } = await sideBySide(model, DECODING);
  t.is(calls.length, STEPS - 1);
  t.true(most(steps) <= PASSED, `steps between tokens: ${steps.join(', ')}`);
  t.true(steps.filter((n) => n > 0).length >= STEPS / 2, `they ran one after the other: ${steps.join(', ')}`);
});
