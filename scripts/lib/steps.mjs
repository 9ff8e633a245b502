/**
 * Trains four models for some steps and prints, for each, the losses and what was computed on the CPU though an accelerator was asked for: a program, which
 * `scripts/general.mjs` and `scripts/device-check.mjs` run. `node steps.mjs <steps> <device>`.
 */
import { at } from './paths.mjs';

const tl = await import(at('dist', 'index.mjs'));
const [steps, device] = [Number(process.argv[2] ?? 200), process.argv[3] ?? 'cpu'];
tl.setDefaultDevice(device);

const VOCABULARY = 13;
const shape = (numbers, dtype = 'float32') => ({ shape: numbers, dtype });

/** Numbers from 0 to below `n` that follow from a step and a place. */
const drawn = (step, place, n) => (Math.imul(step * 31 + place + 1, 0x9e3779b1) >>> 8) % n;
const filled = (numbers, of, dtype) =>
  tl.tensor(
    Array.from({ length: numbers.reduce((a, b) => a * b) }, (_, i) => of(i)),
    numbers,
    { dtype },
  );

/** Sequences in which each token is three above the one before: a batch of 4, what comes next, and equal weights. */
function tokens(step, length) {
  const part = (from) => (i) =>
    (drawn(step, Math.floor(i / length), VOCABULARY) + 3 * ((i % length) + from)) % VOCABULARY;
  return [
    filled([4, length], part(0), 'int32'),
    filled([4, length], part(1), 'int32'),
    filled([4, length], () => 1, 'float32'),
  ];
}

/** Pictures with a bright quarter, and which one it is. */
function pictures(step) {
  const brightness = (i) => {
    const [picture, row, column] = [Math.floor(i / 64), Math.floor(i / 8) % 8, i % 8];
    const quarter = 2 * Math.floor(row / 4) + Math.floor(column / 4);
    return drawn(step, i + 8, 100) / 100 + (quarter === drawn(step, picture, 4) ? 1 : 0);
  };
  return [
    filled([8, 8, 8, 1], brightness, 'float32'),
    filled([8], (i) => drawn(step, i, 4), 'int32'),
    filled([8], () => 1, 'float32'),
  ];
}

const sizes = { dModel: 16, dFf: 32, nLayers: 2, nHeads: 2, maxLen: 32, dropout: 0.1 };
/** What a step is of. */
const models = {
  TransformerLM: { model: () => tl.models.TransformerLM(VOCABULARY, sizes), batch: (step) => tokens(step, 16) },
  ReformerLM: {
    model: () =>
      tl.models.ReformerLM(VOCABULARY, {
        ...sizes,
        dAttentionKey: 8,
        dAttentionValue: 8,
        attentionType: tl.LSHSelfAttention,
      }),
    batch: (step) => tokens(step, 32),
  },
  LSTM: {
    model: () => tl.Serial(tl.Embedding(VOCABULARY, 16), tl.LSTM(16), tl.Dense(VOCABULARY)),
    batch: (step) => tokens(step, 16),
  },
  convolutions: {
    model: () => tl.Serial(tl.Conv(8, [3, 3]), tl.Relu(), tl.MaxPool(), tl.Flatten(), tl.Dense(4)),
    batch: pictures,
  },
};

/** The losses of the steps of a model, and its trips to the CPU. */
function trained({ model, batch }) {
  const withLoss = tl.Serial(model(), tl.WeightedCategoryCrossEntropy());
  const inputs = batch(0);
  withLoss.init(
    inputs.map((x) => shape(x.shape, x.dtype)),
    { rng: tl.random.key(7) },
  );
  const trainer = new tl.Trainer(withLoss, tl.optimizers.Adam({ learningRate: 0.003 }));
  const losses = [];
  const taken = tl.profile(() => {
    for (let step = 0; step < steps; step += 1) {
      const [loss] = tl.tidy(() => trainer.oneStep(batch(step), tl.random.key(step)));
      losses.push(typeof loss === 'number' ? loss : loss.item());
    }
  });
  return { losses, hostTrips: taken.hostTrips.map(({ what, times }) => ({ what, times })) };
}

const begun = performance.now();
const found = Object.fromEntries(Object.entries(models).map(([name, how]) => [name, trained(how)]));
console.log(JSON.stringify({ seconds: (performance.now() - begun) / 1000, models: found }));
