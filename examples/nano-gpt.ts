/**
 * A small GPT on the characters of Moby-Dick, of the size that nanoGPT trains on a laptop: it learns, is measured on chapters it has not
 * seen, and writes. Source: Radford et al. 2019, and Karpathy's nanoGPT.
 *
 * Run it with `npx tsx examples/nano-gpt.ts`; a run that was stopped goes on from its checkpoint.
 */
import * as tl from 'tallow';
import { batches } from './moby-dick/batches.js';
import { splitMobyDick } from './moby-dick/book.js';
import { bitsPerCharacter } from './moby-dick/evaluate.js';
import { type RunOptions, trainingProgram } from './support/options.js';
import { write } from './support/write.js';

/** How large the model is, and how long it is trained. */
export interface Setting {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly length: number;
  readonly batch: number;
  readonly steps: number;
}

const SMALL: Setting = { width: 128, layers: 4, heads: 4, length: 64, batch: 12, steps: 2000 };
/** Batches of an evaluation. */
const EVALUATED = 40;
/** Characters of the test text that are scored. */
const SCORED = 20_000;

// GPT-2 begins with vectors of 0.02, from which the first thousand steps are slow.
const vectors = { kernelInitializer: tl.RandomNormalInitializer({ stddev: 0.3 }) };

/** What each position takes from those before it, and what it makes of that, each beside a shortcut. */
const block = ({ width, heads, length }: Setting): tl.Layer<tl.Tensor, 1>[] => [
  tl.Residual(tl.LayerNorm(), tl.CausalAttention(width, { nHeads: heads, maxInferenceLength: length })),
  tl.Residual(tl.LayerNorm(), tl.Dense(4 * width), tl.Gelu(), tl.Dense(width)),
];

/** From characters to the logits of the character behind each. */
export const makeModel = (size: number, setting: Setting): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(
    tl.Embedding(size, setting.width, vectors),
    tl.AxialPositionalEncoding({ shape: [setting.length], dEmbs: [setting.width], ...vectors }),
    Array.from({ length: setting.layers }, () => block(setting)),
    tl.LayerNorm(),
    tl.Dense(size),
  );

/** Trains, measures and writes. @returns bits per character at each evaluation and on the test text, and a sample */
export async function run(
  setting: Setting = SMALL,
  { seed = 1, temperature = 0.8, outputDir = null as string | null, callbacks = [] as tl.training.Callback[] } = {},
): Promise<{ bits: number[]; test: number; sample: string }> {
  const { train, heldOut } = splitMobyDick();
  // 0 stands before the first character.
  const characters = tl.data.characterEncoder(train + heldOut, { reserved: 1 });
  const [known, unknown] = [characters.encode(train), characters.encode(heldOut)];
  const [middle, { batch, length, steps }] = [unknown.length / 2, setting];
  const batchesOf = (ids: Int32Array, key: number): Generator<tl.Tensor[]> => batches(ids, batch, length, [seed, key]);
  const loss = tl.CategoryCrossEntropy();
  const task = new tl.training.TrainTask(batchesOf(known, 1), loss, tl.optimizers.AdamW({ weightDecay: 0.1 }), {
    lrSchedule: tl.lrSchedules.oneCycle(4e-3, steps, { pctStart: 0.1 }),
    nStepsPerCheckpoint: Math.ceil(steps / 4),
  });
  const evalTasks = new tl.training.EvalTask(batchesOf(unknown.subarray(0, middle), 2), loss, {
    metricNames: ['validation'],
    nEvalBatches: EVALUATED,
  });
  const reader = makeModel(characters.vocabSize, setting);
  // A target is the character behind the inputs: both are the same text, and the inputs are shifted by one.
  const model = tl.Serial(tl.ShiftRight(), reader);
  const loop = new tl.training.Loop(model, task, { evalTasks, outputDir, randomSeed: seed, callbacks });
  await loop.prepare();
  await loop.run(steps - loop.step);
  if (outputDir !== null) await loop.saveCheckpoint();
  const bits = loop.history.get('eval', 'metrics/validation').map(({ value }) => value / Math.LN2);
  const test = await bitsPerCharacter(model, unknown.subarray(middle, middle + SCORED), length);
  const ids = write(reader, characters.encode('The '), length - 4, (logits, i) =>
    tl.random.categorical(tl.random.key(i), logits.div(temperature)),
  );
  return { bits, test, sample: characters.decode(ids) };
}

if (require.main === module) {
  const { steps, ...options } = trainingProgram('examples/nano-gpt.ts', 'A GPT that writes as Melville.', SMALL.steps)
    .option('--temperature <x>', 'below 1 it dares less, above 1 more', Number, 0.8)
    .option('--output-dir <folder>', 'where checkpoints go', 'runs/nano-gpt')
    .parse()
    .opts<RunOptions & { temperature: number; outputDir: string }>();
  const callbacks = [new tl.training.Progress()];
  void run({ ...SMALL, steps }, { ...options, callbacks }).then(({ bits, test, sample }) => {
    const shown = bits.map((x) => x.toFixed(2)).join(', ');
    console.log(`Bits per character on the way: ${shown}; on the test text: ${test.toFixed(3)}\n${sample}`);
  });
}
