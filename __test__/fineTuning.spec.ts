/** Groups of weights, frozen ones, batches gathered for a step, and averages of weights. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';
import { f32, floats, one, values } from './support/values.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-fine-tuning-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const rng: tl.Key = [3, 1];
const shape = [6, 3];
const sgd = (learningRate = 0.1): tl.Optimizer => tl.optimizers.SGD({ learningRate });
const adam = (): tl.Optimizer => tl.optimizers.AdamW({ learningRate: 0.05, weightDecay: 0.3 });
const loss = (): tl.Layer<tl.Tensor, 1> => tl.Fn('loss', (x: tl.Tensor) => x.sub(3).square().mean());

function model(): tl.Layer {
  const layer = tl.Serial(
    tl.Serial(tl.Dense(5), tl.BatchNorm({ axis: [0] })),
    tl.Dropout({ rate: 0.2 }),
    tl.Dense(1),
    loss(),
  );
  layer.init(f32(shape), { rng: [7, 7] });
  return layer;
}

const batch = (i: number): tl.Tensor => tl.random.normal([9, i], shape);
function* batches(from = 0): Generator<tl.Tensor> {
  for (let i = from; ; i += 1) yield batch(i);
}

test('weights have the names that files give them, each once', (t) => {
  const shared = tl.Dense(3);
  const layer = tl.Serial(shared, tl.Embedding(2, 2), shared);
  t.deepEqual(layer.weightNames, []);
  t.deepEqual(model().weightNames, [
    '0.Serial/0.Dense_5/0',
    '0.Serial/0.Dense_5/1',
    '0.Serial/1.BatchNorm/0',
    '0.Serial/1.BatchNorm/1',
    '2.Dense_1/0',
    '2.Dense_1/1',
  ]);
  const twice = tl.Serial(shared, tl.Relu(), shared);
  twice.init(f32([2, 3]));
  t.deepEqual(twice.weightNames, ['0.Dense_3/0', '0.Dense_3/1']);
});

/** A product by a weight, which counts how often its gradient is asked for. */
class Counted extends tl.Layer<tl.Tensor, 1> {
  declare weights: tl.Tensor;
  asked = 0;
  override initWeightsAndState(): void {
    this.weights = floats(0.5).reshape([]);
  }
  override forward(x: tl.Tensor): tl.Tensor {
    return x.mul(this.weights);
  }
  override backward(inputs: tl.Tensor, _output: tl.Tensor, grad: tl.Tensor): [tl.Tensor, tl.Tensor] {
    this.asked += 1;
    return [grad.mul(this.weights), grad.mul(inputs).sum()];
  }
}

test('below the lowest weight that is trained no gradient is computed', (t) => {
  const layers = [new Counted(), new Counted(), new Counted()];
  const layer = tl.Serial(...layers, loss());
  layer.init(f32([2, 2]), { rng });
  const step = (options: tl.TrainerOptions): number[] => {
    new tl.Trainer(layer, sgd(), options).oneStep(tl.ones([2, 2]), rng);
    return layers.map((l) => l.asked);
  };
  t.deepEqual(step({ groups: [{ weights: ['0.*', '1.*'], frozen: true }] }), [0, 0, 1]);
  t.deepEqual(step({ groups: [{ weights: '0.*', frozen: true }] }), [0, 1, 2]);
  t.deepEqual(step({}), [1, 2, 3]);
});

test.serial('a frozen half takes less memory in a step', (t) => {
  const wide = tl.Serial(tl.Dense(512), tl.Dense(512), tl.Dense(512), tl.Dense(1), loss());
  wide.init(f32([512, 512]), { rng });
  const x = tl.ones([512, 512]);
  const peak = (options: tl.TrainerOptions): number => {
    const trainer = new tl.Trainer(wide, sgd(0), options);
    trainer.oneStep(x, rng);
    tl.resetPeakMemory();
    const before = tl.memory().bytes;
    trainer.oneStep(x, rng);
    return tl.memory().peakBytes - before;
  };
  const [all, half] = [peak({}), peak({ groups: [{ weights: '{0,1,2}.*/*', frozen: true }] })];
  t.true(half < all - 3 * 512 * 512 * 4, `${half} of ${all}`);
});

test('a group has a learning rate and a weight decay of its own, which a schedule moves too', async (t) => {
  const run = async (options: tl.TrainerOptions, rates: [main: number, own: number]): Promise<unknown[]> => {
    const layer = model();
    const trainer = new tl.Trainer(layer, adam(), options);
    await trainer.fit(batches(), { steps: 3, rng, schedule: (step) => rates[0] / (step + 1) });
    return [values(layer.weights), trainer.slots.map((slots) => slots.length)];
  };
  const own = tl.optimizers.AdamW({ learningRate: 0.05, weightDecay: 0.3 });
  const slots = [2, 2, 2, 2, 2, 2];
  const [weights, found] = await run({ groups: [{ weights: '0.*/**', optimizer: own }] }, [0.05, 0.05]);
  t.deepEqual([weights, found], await run({}, [0.05, 0.05]), 'the same options in a group change nothing');
  t.deepEqual(found, slots);
  const groups = [
    { weights: ['**/1.BatchNorm/*', '**/1'], optimizer: tl.optimizers.AdamW({ learningRate: 0.05, weightDecay: 0 }) },
    { weights: '0.*/**', frozen: true },
  ] as const;
  const layer = model();
  const before = values(layer.weights);
  const trainer = new tl.Trainer(layer, adam(), { groups });
  trainer.oneStep(batch(0), rng);
  t.deepEqual(
    trainer.slots.map((s) => s.length),
    [0, 2, 2, 2, 2, 2],
  );
  t.notDeepEqual(values(layer.weights), before);
});

test('groups of no sense are refused before anything is trained', (t) => {
  const make = (groups: unknown): tl.Trainer => new tl.Trainer(model(), sgd(), { groups: wrong(groups) });
  const refused = (groups: unknown, message: RegExp): void => {
    t.throws(() => make(groups), { instanceOf: tl.LayerError, code: 'InvalidOption', message });
  };
  refused(
    [{ weights: '2.Dense/*', frozen: true }],
    /no weight matches the pattern '2.Dense\/\*'; the nearest are 2.Dense_1/,
  );
  refused([{ weights: [], frozen: true }], /at least one pattern of names of weights, got none/);
  refused([{ weights: '**', frozen: true }], /freeze all weights/);
  refused([{ weights: '**', frozen: true, optimizer: sgd() }], /\[0\] has both `frozen` and `optimizer`/);
  refused([{ weights: '**' }], /\[0\] has neither `frozen` nor `optimizer`/);
  refused([{ weights: '**', optimizer: 'Adam' }], /`optimizer` what tl.optimizers makes/);
  refused({ weights: '**' }, /`groups` must be a list of groups/);
  t.throws(() => new tl.Trainer(model(), sgd(), { accumulate: 0 }), { code: 'InvalidOption' });
  t.throws(() => new tl.Trainer(model(), sgd(), { averageDecay: 1 }), { code: 'InvalidOption' });
  t.throws(() => new tl.Trainer(tl.Dense(2), sgd(), { groups: [{ weights: '**', frozen: true }] }), {
    code: 'NotInitialized',
  });
});

test('a head is replaced, and the rest is kept', async (t) => {
  const body = tl.Serial(tl.Dense(5), tl.Tanh());
  const old = tl.Serial(body, tl.Dense(1), loss());
  old.init(f32(shape), { rng });
  new tl.Trainer(old, sgd()).oneStep(batch(0), rng);
  const kept = values(body.weights);
  const head = tl.Dense(4);
  const tuned = tl.Serial(body, head, loss());
  head.init(f32([6, 5]), { rng: [1, 2] });
  t.deepEqual(values(body.weights), kept, 'the new model has what was learned');
  const trainer = new tl.Trainer(tuned, sgd(), { groups: [{ weights: '0.Serial/**', frozen: true }] });
  const before = values(head.weights);
  await trainer.fit(batches(), { steps: 3, rng });
  t.deepEqual(values(body.weights), kept);
  t.notDeepEqual(values(head.weights), before);
});

test('batches are gathered for a step, with state from one to the next', async (t) => {
  const layer = model();
  const trainer = new tl.Trainer(layer, sgd(), { accumulate: 3 });
  let taken = 0;
  function* counted(): Generator<tl.Tensor> {
    for (const x of batches()) {
      taken += 1;
      yield x;
    }
  }
  const seen: number[] = [];
  const report = await trainer.fit(counted(), { steps: 4, rng, onProgress: ({ items }) => seen.push(items) });
  t.deepEqual([report.steps, report.losses.length, seen.at(-1)], [4, 4, 12 * 18]);
  t.true(taken >= 12 && taken <= 15, `${taken} batches, of which a few are read ahead`);
  const byHand = model();
  const [norm, { state }] = [byHand, model()];
  let [sum, held] = [0, state];
  for (let i = 0; i < 3; i += 1) {
    const key = tl.random.foldIn(tl.random.foldIn(rng, 0), i);
    const [y, next] = norm.pureFn(batch(i), byHand.weights, held, key);
    sum += one(y).item();
    held = next;
  }
  t.is(report.losses[0], sum / 3, 'each batch draws with a key of its own');
  t.throws(() => trainer.oneStep(batch(0), rng), { code: 'InvalidArgument', message: /`accumulate` 3; call fit/ });
});

test('averages stand for the weights while a function runs, and the run goes on as if nothing was', async (t) => {
  const run = async (use: (trainer: tl.Trainer, layer: tl.Layer) => Promise<void>): Promise<unknown> => {
    const layer = model();
    const trainer = new tl.Trainer(layer, adam(), { averageDecay: 0.5 });
    await trainer.fit(batches(), { steps: 3, rng });
    await use(trainer, layer);
    await trainer.fit(batches(3), { steps: 3, firstStep: 3, rng });
    return [values(layer.weights), values(trainer.averages)];
  };
  const plain = await run(async () => {});
  const used = await run(async (trainer, layer) => {
    const own = values(tl.tree.leaves(layer.weights));
    const averages = values(trainer.averages);
    t.notDeepEqual(own, averages);
    const busy = { code: 'Busy', message: /holds? the averages of this trainer/ };
    const found = await trainer.withAverages(async () => {
      await Promise.resolve();
      t.throws(() => trainer.oneStep(batch(0), rng), busy);
      await t.throwsAsync(trainer.fit(batches(), { steps: 1, rng }), busy);
      await t.throwsAsync(trainer.save(join(folder, 'lent')), busy);
      await t.throwsAsync(trainer.load(join(folder, 'lent')), busy);
      await t.throwsAsync(
        trainer.withAverages(() => 0),
        busy,
      );
      return values(tl.tree.leaves(layer.weights));
    });
    t.deepEqual(found, averages);
    await t.throwsAsync(
      trainer.withAverages(() => {
        throw new Error('mine');
      }),
      { message: 'mine' },
    );
    t.deepEqual(values(tl.tree.leaves(layer.weights)), own);
  });
  t.deepEqual(used, plain);
  await t.throwsAsync(
    new tl.Trainer(model(), adam()).withAverages(() => 0),
    { code: 'InvalidOption', message: /averageDecay/ },
  );
  t.deepEqual(new tl.Trainer(model(), adam()).averages, []);
});

/** All that a trainer holds. */
const held = (trainer: tl.Trainer): unknown => {
  const { weights, state } = trainer.modelWithLoss;
  return [values(weights), values(state), values(trainer.slots), values(trainer.averages)];
};

test('a file asked for within a run with groups, gathered batches and averages has that very step', async (t) => {
  const options: tl.TrainerOptions = {
    accumulate: 2,
    averageDecay: 0.9,
    groups: [
      { weights: '**/0.Dense_5/1', frozen: true },
      { weights: '2.*/*', optimizer: tl.optimizers.Momentum({ learningRate: 0.01 }) },
    ],
  };
  const path = join(folder, 'within');
  const make = (): tl.Trainer => new tl.Trainer(model(), adam(), options);
  const whole = make();
  const saved: Promise<void>[] = [];
  await whole.fit(batches(), {
    steps: 6,
    rng,
    onProgress: ({ step }) => {
      if (step === 2) saved.push(whole.save(path));
    },
  });
  await Promise.all(saved);
  const again = make();
  t.is(await again.load(path), 3);
  await again.fit(batches(6), { steps: 3, firstStep: 3, rng });
  t.deepEqual(held(again), held(whole));
  const other = new tl.Trainer(model(), adam());
  await t.throwsAsync(other.load(path), { code: 'WeightsMismatch', message: /load with \{ strict: false \}/ });
  t.is(await other.load(path, { strict: false }), 3);
});
