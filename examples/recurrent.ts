/**
 * Trains a character-level LSTM on Moby-Dick, holds it against counts of character pairs on chapters neither has seen, and
 * writes on, one character at a time.
 */
import * as tl from 'tallow';
import { batches } from './moby-dick/batches.js';
import { splitMobyDick } from './moby-dick/book.js';
import { bitsPerCharacter } from './moby-dick/evaluate.js';
import { NGram } from './moby-dick/ngram.js';
import { write } from './support/write.js';

const BATCH = 32;
const LENGTH = 64;
/** Characters of the held-out text that are scored. */
const SCORED = 40_000;

/** What came of it. */
export interface Result {
  /** Bits per character on the held-out text. */
  readonly bits: { readonly bigram: number; readonly lstm: number };
  /** What the model wrote. */
  readonly sample: string;
}

/**
 * Trains, measures and writes.
 *
 * @param steps - training steps
 * @param callbacks - what is called on the way
 */
export async function run(steps = 400, callbacks: readonly tl.training.Callback[] = []): Promise<Result> {
  const text = splitMobyDick();
  // 0 stands before the first character.
  const characters = tl.data.characterEncoder(text.train + text.heldOut, { reserved: 1 });
  const [train, heldOut] = [characters.encode(text.train), characters.encode(text.heldOut).subarray(0, SCORED)];
  const reader = tl.Serial(tl.Embedding(characters.vocabSize, 32), tl.LSTM(128), tl.Dense(characters.vocabSize));
  const model = tl.Serial(tl.ShiftRight(), reader);

  const task = new tl.training.TrainTask(
    batches(train, BATCH, LENGTH, tl.random.key(2)),
    tl.CategoryCrossEntropy(),
    tl.optimizers.Adam({ learningRate: 5e-3 }),
    { nStepsPerCheckpoint: null },
  );
  await new tl.training.Loop(model, task, { callbacks, randomSeed: 1 }).run(steps);

  const bits = {
    bigram: new NGram(2, characters.vocabSize, train).bits(heldOut),
    lstm: await bitsPerCharacter(model, heldOut, LENGTH),
  };
  // The model shifts its inputs itself, so its reader is given what comes before the next character.
  const written = write(reader, characters.encode('The whale '), 60, (logits) => logits.argmax(-1));
  return { bits, sample: characters.decode(written) };
}

if (require.main === module) {
  void run(400, [new tl.training.Progress()]).then(({ bits, sample }) => {
    console.log(
      `Bits per character on the held-out text: ${bits.bigram.toFixed(3)} from pairs, ${bits.lstm.toFixed(3)} from the LSTM\n${sample}`,
    );
  });
}
