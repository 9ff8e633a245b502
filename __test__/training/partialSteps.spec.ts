/** Steps of several batches whose data ends within them, as it should or not. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { f32, values } from '../support/values.js';

const rng: tl.Key = [3, 1];
const batch = (i: number): tl.Tensor => tl.random.normal([9, i], [4, 3]);
const loss = (): tl.Layer<tl.Tensor, 1> => tl.Fn('loss', (y: tl.Tensor) => y.sub(3).square().mean());

function trainerOf(accumulate: number): tl.Trainer {
  const layer = tl.Serial(tl.Dense(2), tl.BatchNorm({ axis: 0 }), loss());
  layer.init(f32([4, 3]), { rng });
  return new tl.Trainer(layer, tl.optimizers.Momentum({ learningRate: 0.1 }), { accumulate });
}
const result = ({ modelWithLoss, slots, updates }: tl.Trainer): unknown => [
  values(modelWithLoss.weights),
  values(modelWithLoss.state),
  values(slots),
  updates,
];

const reason = new Error('the disk is gone');
function* failing(after: number): Generator<tl.Tensor> {
  for (let i = 0; i < after; i += 1) yield batch(i);
  throw reason;
}
async function* failingLate(after: number): AsyncGenerator<tl.Tensor> {
  for (const x of failing(after)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    yield x;
  }
}

test('where data throws within a step, that step is not made', async (t) => {
  for (const after of [0, 1, 2, 3, 4, 5, 6, 8]) {
    const whole = trainerOf(3);
    const steps = Math.floor(after / 3);
    if (steps > 0)
      await whole.fit(
        Array.from({ length: 3 * steps }, (_, i) => batch(i)),
        { steps, rng },
      );
    for (const data of [failing, failingLate]) {
      const trainer = trainerOf(3);
      t.is(await t.throwsAsync(trainer.fit(data(after), { steps: 10, rng })), reason);
      t.deepEqual(result(trainer), result(whole), `${data.name} after ${after} batches`);
    }
  }
});

test('where data ends within a step, that step is made with the mean of the batches that there are', async (t) => {
  const [short, two] = [trainerOf(3), trainerOf(2)];
  const report = await short.fit([batch(0), batch(1)], { steps: 10, rng });
  await two.fit([batch(0), batch(1)], { steps: 10, rng });
  t.is(report.steps, 1);
  t.deepEqual(result(short), result(two));
  const none = await trainerOf(3).fit([], { steps: 10, rng });
  t.is(none.steps, 0);
});

test('after onProgress has thrown no step of fewer batches is made', async (t) => {
  const failed = new Error('stop');
  const trainer = trainerOf(3);
  const data = Array.from({ length: 5 }, (_, i) => batch(i));
  const onProgress = (): void => {
    throw failed;
  };
  t.is(await t.throwsAsync(trainer.fit(data, { steps: 10, rng, onProgress })), failed);
  t.is(trainer.updates, 1);
});
