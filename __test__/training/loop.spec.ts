/** The loop: what it does when, and that it does what trainers do by hand. */
import { readdir } from 'node:fs/promises';
import test from 'ava';
import * as tl from '../../src/index.js';
import { adam, batch, batches, folder, loopOf, model, ROWS, task } from '../support/loops.js';
import { one, values } from '../support/values.js';

/** The keys that a loop of this one makes first: of the first weights, of other layers, of all steps. */
function keysOf(key: tl.Key): [number, number][] {
  let rest = key;
  return [0, 1, 2].map(() => {
    const [next, made] = tl.random.split(rest).array() as [[number, number], [number, number]];
    rest = next;
    return made;
  });
}

test('a loop does what a trainer does by hand, bit for bit', async (t) => {
  const loop = loopOf();
  const report = await loop.run(7);
  t.like(report, { steps: 7, stopped: false });
  t.is(loop.step, 7);

  const byHand = model();
  const withLoss = tl.Serial(byHand, tl.L2Loss());
  const [forWeights, , ofSteps] = keysOf(tl.random.key(3));
  withLoss.init(tl.signature(batch(0)), { rng: forWeights! });
  const trainer = new tl.Trainer(withLoss, adam());
  for (let step = 1; step <= 7; step++) {
    trainer.oneStep(batch(step - 1), tl.random.foldIn(ofSteps!, step), { step });
    t.deepEqual([...loop.rngOfStep(step)], tl.random.keyWords(tl.random.foldIn(ofSteps!, step)));
  }
  t.deepEqual(values(loop.model.weights), values(byHand.weights));
  t.deepEqual(values(loop.model.state), values(byHand.state));
});

test('it evaluates and saves at step 1 and every nth, and remembers what came out', async (t) => {
  const outputDir = await folder(t);
  const evalTasks = new tl.training.EvalTask([batch(100), batch(101)], [tl.L2Loss(), tl.SmoothL1Loss()], {
    metricNames: ['loss', 'smooth'],
    nEvalBatches: 2,
  });
  const tasks = task(batches(), { nStepsPerPermanentCheckpoint: 8 });
  const loop = new tl.training.Loop(model(), tasks, { evalTasks, outputDir, rng: [0, 5], checkpointLowMetric: 'loss' });
  await loop.run(9);
  const steps = (mode: string, metric: string): number[] => loop.history.get(mode, metric).map(({ step }) => step);
  t.deepEqual(steps('eval', 'metrics/loss'), [1, 4, 8]);
  t.deepEqual(steps('eval', 'metrics/smooth'), [1, 4, 8]);
  t.deepEqual(steps('train', 'metrics/L2Loss'), [1, 4, 8]);
  t.deepEqual(loop.history.metricsForMode('train'), [
    'metrics/L2Loss',
    'training/steps per second',
    'training/learning_rate',
    'training/gradients_l2',
    'training/weights_l2',
  ]);
  t.is(loop.history.get('train', 'training/learning_rate')[0]!.value, 0.01);
  t.deepEqual((await readdir(outputDir)).toSorted(), [
    'lowest_loss.safetensors',
    'model.safetensors',
    'model_1.safetensors',
    'model_8.safetensors',
  ]);
});

test('the loss of training in the history is the mean since the last evaluation', async (t) => {
  const losses: number[] = [];
  const loop = loopOf({ callbacks: [{ onStep: (_, { loss }) => void losses.push(loss) }] });
  await loop.run(4);
  const [first, second] = loop.history.get('train', 'metrics/L2Loss');
  t.is(losses.length, 4);
  t.is(first!.value, losses[0]!);
  t.true(Math.abs(second!.value - (losses[1]! + losses[2]! + losses[3]!) / 3) < 1e-12);
});

test('metrics are those of the model in mode eval, averaged by the weights of the batches', async (t) => {
  const light = batch(7);
  light[2] = tl.tensor([1, 1, 0, 0, 0, 0, 0, 0], [ROWS, 1], { dtype: 'float32' });
  const names = { metricNames: ['loss', 'plain'], nEvalBatches: 2 };
  const plain = tl.Fn('Plain', (y: tl.Tensor, x: tl.Tensor) => y.sub(x).abs().mean());
  const evalTasks = new tl.training.EvalTask([batch(6), light], [tl.L2Loss(), plain], names);
  const loop = loopOf({ evalTasks });
  await loop.run(3);
  const metrics = await loop.runEvals();

  const evaluated = loop.model.withMode('eval');
  evaluated.state = loop.model.state;
  const [a, b] = [batch(6), light].map((x) => one(tl.Serial(evaluated, tl.L2Loss())(x)).item()) as [number, number];
  t.true(Math.abs(metrics['loss']! - (8 * a + 2 * b) / 10) < 1e-6, `${metrics['loss']} of ${a} and ${b}`);
  const [c, d] = [batch(6), light].map((x) => one(evaluated(x[0]!)).sub(x[1]!).abs().mean().item()) as [number, number];
  t.true(Math.abs(metrics['plain']! - (c + d) / 2) < 1e-6);
  // An evaluation changes nothing that training sees.
  const before = [values(loop.model.weights), values(loop.model.state)];
  await loop.runEvals();
  t.deepEqual([values(loop.model.weights), values(loop.model.state)], before);
});

test('several tasks take turns on the same weights, each with its own optimizer', async (t) => {
  const body = model();
  const tasks = [
    new tl.training.TrainTask(batches(), tl.L2Loss(), adam(), { exportPrefix: 'a', nStepsPerCheckpoint: 2 }),
    new tl.training.TrainTask(batches(50), tl.SmoothL1Loss(), tl.optimizers.SGD({ learningRate: 0.1 })),
  ];
  const turns: number[] = [];
  const loop = new tl.training.Loop(body, tasks, {
    randomSeed: 3,
    whichTask: (step) => (step % 3 === 0 ? 1 : 0),
    callbacks: [{ onStep: (_, { task }) => void turns.push(task) }],
  });
  await loop.run(6);
  t.deepEqual(turns, [0, 0, 1, 0, 0, 1]);
  t.deepEqual(
    loop.history.metricsForMode('train').filter((name) => name.startsWith('metrics/')),
    ['metrics/a/L2Loss', 'metrics/1/SmoothL1Loss'],
  );

  const byHand = model();
  const [forWeights, , ofSteps] = keysOf(tl.random.key(3));
  const [first, second] = [tl.Serial(byHand, tl.L2Loss()), tl.Serial(byHand, tl.SmoothL1Loss())];
  first.init(tl.signature(batch(0)), { rng: forWeights! });
  const trainers = [new tl.Trainer(first, adam()), new tl.Trainer(second, tl.optimizers.SGD({ learningRate: 0.1 }))];
  const seeds = [0, 50];
  turns.forEach((turn, i) => {
    trainers[turn]!.oneStep(batch(seeds[turn]!), tl.random.foldIn(ofSteps!, i + 1), { step: i + 1 });
    seeds[turn]! += 1;
  });
  t.deepEqual(values(body.weights), values(byHand.weights));
});

test('a schedule sees steps from 1 on; a model that has weights keeps them', async (t) => {
  const body = model();
  body.init(tl.signature(batch(0)[0]!), { rng: [0, 9] });
  const before = values(body.weights);
  const seen: number[] = [];
  const lrSchedule = (step: number): number => (seen.push(step), 0);
  const loop = new tl.training.Loop(body, task(batches(), { lrSchedule }), { randomSeed: 0 });
  await loop.prepare();
  t.deepEqual(values(body.weights), before);
  await loop.run(3);
  t.deepEqual(seen, [1, 2, 3]);
});

test('an eval model of its own gets weights and state', async (t) => {
  const evalModel = model().withMode('eval');
  const evalTasks = new tl.training.EvalTask([batch(5)], tl.L2Loss());
  const [own, shared] = [loopOf({ evalTasks, evalModel }), loopOf({ evalTasks })];
  for (const loop of [own, shared]) await loop.run(4);
  t.deepEqual(own.history.toJSON()['eval'], shared.history.toJSON()['eval']);
  t.deepEqual(values(evalModel.weights), values(own.model.weights));
});

test('data: an array begins anew and stays whole; batches that were read ahead are not lost between runs', async (t) => {
  const seen: number[] = [];
  /** Notes the first number of each batch; a model is initialized with zeros. */
  const watched = (): tl.Layer => {
    const watch = tl.Fn('Watch', (x: tl.Tensor) => {
      const [first] = x.dataSync();
      if (first !== 0) seen.push(Number(first));
      return x;
    });
    return tl.Serial(watch, model());
  };
  const firsts = [0, 1, 2, 3, 4, 5].map((seed) => Number(batch(seed)[0]!.dataSync()[0]));
  const three = [batch(0), batch(1), batch(2)];
  const loop = new tl.training.Loop(watched(), task(three), { randomSeed: 0 });
  await loop.run(2);
  await loop.run(3);
  t.false(three.flat().some((x) => x.isDisposed));
  t.deepEqual(seen, [firsts[0], firsts[1], firsts[2], firsts[0], firsts[1]]);
  seen.length = 0;
  const endless = new tl.training.Loop(watched(), task(batches()), { randomSeed: 0 });
  for (let i = 0; i < 3; i++) await endless.run(2);
  t.deepEqual(seen, firsts);
});

test('fastDevRun is one step and one batch of each evaluation, without files', async (t) => {
  const outputDir = await folder(t);
  const evalTasks = new tl.training.EvalTask([batch(5), batch(6)], tl.L2Loss(), { nEvalBatches: 2 });
  const loop = loopOf({ evalTasks, outputDir, fastDevRun: true });
  t.is((await loop.run(100)).steps, 1);
  t.is(loop.outputDir, null);
  t.deepEqual(await readdir(outputDir), []);
  const [only] = loop.history.get('eval', 'metrics/L2Loss');
  const evaluated = tl.Serial(loop.evalModel, tl.L2Loss());
  loop.evalModel.state = loop.model.state;
  t.true(Math.abs(only!.value - one(evaluated(batch(5))).item()) < 1e-6);
});

test('overfitBatches takes the same batches again and again', async (t) => {
  const losses: number[] = [];
  const still = new tl.training.TrainTask(batches(), tl.L2Loss(), tl.optimizers.SGD({ learningRate: 0 }));
  const loop = new tl.training.Loop(tl.Serial(tl.Dense(4), tl.Dense(1)), still, {
    randomSeed: 0,
    overfitBatches: 2,
    callbacks: [{ onStep: (_, { loss }) => void losses.push(loss) }],
  });
  await loop.run(4);
  await loop.run(1);
  const [a, b] = losses;
  t.not(a, b);
  t.deepEqual(losses, [a, b, a, b, a]);
});

test('a run up to a step does what is missing of it, also behind a checkpoint', async (t) => {
  const outputDir = await folder(t);
  const loop = loopOf({ outputDir });
  await loop.run(3);
  const heard: number[] = [];
  const again = loopOf({ outputDir, callbacks: [{ onStart: (_, { steps }) => void heard.push(steps) }] });
  // The checkpoint is of step 1.
  t.like(await again.run({ until: 6 }), { steps: 5, stopped: false });
  t.is(again.step, 6);
  t.like(await again.run({ until: 6 }), { steps: 0 });
  t.like(await again.run({ until: 2 }), { steps: 0 });
  t.is(again.step, 6);
  t.deepEqual(heard, [5, 0, 0]);
  const plain = loopOf();
  await plain.run(6);
  t.deepEqual(values(again.model.weights), values(plain.model.weights));
});

const evalTasks = (): tl.training.EvalTask =>
  new tl.training.EvalTask([batch(100), batch(101)], tl.L2Loss(), { metricNames: ['loss'] });

test('a test set is evaluated beside the run, which goes on as if it had not been', async (t) => {
  const held = new tl.training.EvalTask([batch(200), batch(201)], [tl.L2Loss(), tl.SmoothL1Loss()], {
    nEvalBatches: 2,
    metricNames: ['loss', 'smooth'],
  });
  const loop = loopOf({ evalTasks: evalTasks() });
  await loop.run(5);
  const before = JSON.stringify(loop.history);
  const measured = await loop.evaluate(held);
  t.deepEqual(await loop.evaluate(held), measured);
  t.is(JSON.stringify(loop.history), before);
  const measure = (loss: tl.Layer): number =>
    [200, 201]
      .map((seed) => {
        const [y] = [tl.Serial(loop.model, loss).withMode('eval')(batch(seed))].flat();
        return y!.item();
      })
      .reduce((a, b) => a + b) / 2;
  t.deepEqual(Object.keys(measured), ['loss', 'smooth']);
  t.true(Math.abs(measured['loss']! - measure(tl.L2Loss())) < 1e-6);
  t.true(Math.abs(measured['smooth']! - measure(tl.SmoothL1Loss())) < 1e-6);
  await loop.run(5);

  const plain = loopOf({ evalTasks: evalTasks() });
  await plain.run(10);
  t.deepEqual(values(loop.model.weights), values(plain.model.weights));
  const [losses, plainLosses] = [loop, plain].map(({ history }) => history.get('eval', 'metrics/loss'));
  t.deepEqual(losses, plainLosses);
  t.deepEqual(loop.newRng(), plain.newRng());
});
