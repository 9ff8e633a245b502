/**
 * Trains a small GPT on the characters of Moby-Dick, measures it on chapters it has not seen, and lets it write.
 *
 * Run it with `npx tsx examples/nano-gpt.ts`. Source: Radford et al. 2019, and Karpathy's nanoGPT.
 */
import * as tl from 'tallow';
import { batches } from './moby-dick/batches.js';
import { splitMobyDick } from './moby-dick/book.js';

/** How large the model is, and how long it is trained. */
export interface Setting {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly length: number;
  readonly batch: number;
  readonly steps: number;
}

const SMALL: Setting = { width: 128, layers: 4, heads: 4, length: 64, batch: 16, steps: 2000 };
/** Steps between two evaluations, of so many batches. */
const [EVERY, EVALUATED] = [500, 20];

/** One block: attention, then a layer at each position, each beside a shortcut. */
const block = ({ width, heads, length }: Setting): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(
    tl.Residual(
      tl.LayerNorm(),
      tl.CausalAttention(width, { nHeads: heads, maxInferenceLength: length }),
      tl.Dropout({ rate: 0.1 }),
    ),
    tl.Residual(tl.LayerNorm(), tl.Dense(4 * width), tl.Gelu(), tl.Dense(width), tl.Dropout({ rate: 0.1 })),
  );

/** From characters to the logits of the character behind each. */
export const makeModel = (size: number, setting: Setting): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(
    tl.Embedding(size, setting.width),
    tl.PositionalEncoding({ maxLen: setting.length }),
    Array.from({ length: setting.layers }, () => block(setting)),
    tl.LayerNorm(),
    tl.Dense(size),
  );

/** Characters drawn one after another; the model remembers those before. */
export function write(model: tl.Layer<tl.Tensor, 1>, begin: Int32Array, count: number, key: tl.Key): number[] {
  const writer = model.withMode('predict');
  const ids = Array.from(begin);
  for (let i = 0; i < begin.length + count - 1; i += 1) {
    const next = tl.tidy(() => {
      const logits = writer(tl.tensor([[ids[i]!]], null, { dtype: 'int32' }));
      return tl.random.categorical(tl.random.foldIn(key, i), logits.div(0.8)).item();
    });
    if (i >= begin.length - 1) ids.push(next);
  }
  return ids;
}

/** Trains, measures and writes. @returns bits per character of held-out text at each evaluation, and a sample */
export async function run(
  setting: Setting = SMALL,
  callbacks: readonly tl.training.Callback[] = [],
): Promise<{ bits: number[]; sample: string }> {
  const { train, heldOut } = splitMobyDick();
  // 0 stands before the first character.
  const characters = tl.data.characterEncoder(train + heldOut, { reserved: 1 });
  const [known, unknown] = [train, heldOut].map((text) => characters.encode(text)) as [Int32Array, Int32Array];
  const reader = makeModel(characters.vocabSize, setting);
  // A target is the character behind the inputs: both are the same text, and the inputs are shifted by one.
  const model = tl.Serial(tl.ShiftRight(), reader);
  const { batch, length } = setting;
  const [taught, tested] = [batches(known, batch, length, [0, 1]), batches(unknown, batch, length, [0, 2])];
  const task = new tl.training.TrainTask(taught, tl.CategoryCrossEntropy(), tl.optimizers.AdamW(), {
    lrSchedule: tl.lrSchedules.warmupAndRsqrtDecay(100, 2e-3),
    nStepsPerCheckpoint: EVERY,
  });
  const evalTasks = new tl.training.EvalTask(tested, tl.CategoryCrossEntropy(), { nEvalBatches: EVALUATED });
  const loop = new tl.training.Loop(model, task, { evalTasks, randomSeed: 0, callbacks });
  await loop.run(setting.steps);
  const nats = loop.history.get('eval', 'metrics/CategoryCrossEntropy');
  const ids = write(reader, characters.encode('The '), setting.length - 4, tl.random.key(4));
  return { bits: nats.map(({ value }) => value / Math.LN2), sample: characters.decode(ids) };
}

if (require.main === module) {
  void run(SMALL, [new tl.training.Progress()]).then(({ bits, sample }) => {
    console.log(`Bits per character on held-out chapters: ${bits.map((x) => x.toFixed(2)).join(', ')}\n${sample}`);
  });
}
