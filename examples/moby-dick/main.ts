/**
 * Trains a character-level Transformer or Reformer on Moby-Dick, measures it beside simpler models, and lets it write.
 *
 * Run it with `npm start`, which takes about a minute on two cores, or with `npm start -- --model reformer --length 8192`, which
 * takes about four; `npm start -- --help` lists the flags.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tl from 'tallow';
import { batches } from './batches.js';
import { readText, splitMobyDick, splitText } from './book.js';
import { curveOf } from './chart.js';
import { bitsPerCharacter, verdict } from './evaluate.js';
import { enlargeEmbedding, makeModel } from './models.js';
import { NGram } from './ngram.js';
import { type Options, parseOptions } from './options.js';
import { sample } from './sample.js';

/** Exit code of a program that Ctrl-C ended. */
const INTERRUPTED = 130;

const number = (n: number): string => Math.round(n).toLocaleString('en-US');
/** Lines of at most 100 characters, broken at spaces, set in by two. */
const paragraph = (text: string): string =>
  text
    .replace(/(.{1,98})(?:[ \n]|$)/g, '$1\n')
    .trimEnd()
    .replace(/^/gm, '  ');

/** Shows how far training is, with the mean loss of the last steps. */
function progress(steps: number): tl.training.Callback {
  const bar = new tl.training.ProgressBar(steps);
  let mean: number | undefined;
  return {
    onStep(_, { done, loss, items, seconds }) {
      mean = mean === undefined ? loss : 0.95 * mean + 0.05 * loss;
      bar.update(done, `loss ${(mean / Math.LN2).toFixed(2)} bits · ${number(items / seconds)} tokens/s`);
    },
    onEnd: () => bar.stop(),
  };
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { steps, length, batch, learningRate, seed, out } = options;
  const begin = performance.now();
  mkdirSync(out, { recursive: true });

  const name = options.text ?? 'Moby-Dick';
  const split = options.text === undefined ? splitMobyDick() : splitText(readText(options.text));
  // 0 stands before the first character.
  const characters = tl.data.characterEncoder(split.train + split.heldOut, { reserved: 1 });
  const [train, heldOut] = [characters.encode(split.train), characters.encode(split.heldOut)];
  console.log(
    `${name}: ${number(train.length)} characters to learn from, ${number(heldOut.length)} held out (${split.description})`,
  );

  const rivals = ['Unigram', 'Bigram', 'Trigram'].map((rival, i) => ({
    name: rival,
    bits: new NGram(i + 1, characters.vocabSize, train).bits(heldOut),
  }));

  const [batchKey, loopKey, sampleKey] = tl.random.split(tl.random.key(seed), 3).array() as [number, number][];
  const model = makeModel(characters.vocabSize, options);
  const text = batches(train, batch, length, batchKey!);
  const task = new tl.training.TrainTask(text, tl.CategoryCrossEntropy(), tl.optimizers.Adam(), {
    lrSchedule: tl.lrSchedules.oneCycle(learningRate, steps, { pctStart: 0.1 }),
    // The history has the mean loss of as many steps.
    nStepsPerCheckpoint: Math.ceil(steps / 100),
  });
  const loop = new tl.training.Loop(model, task, { callbacks: [progress(steps)], rng: loopKey! });
  await loop.prepare();
  if (options.model === 'reformer') enlargeEmbedding(model, options.dModel);
  const signature: tl.Signature = { shape: [batch, length], dtype: 'int32' };
  const { weights } = tl.summary(model, signature);
  console.log(
    `Training: ${number(weights)} weights, ${number(steps)} steps of ${batch} × ${length} characters; Ctrl-C stops and saves`,
  );

  const [checkpoint, alphabet] = [join(out, 'model.safetensors'), join(out, 'characters.json')];
  characters.save(alphabet);
  const { seconds } = await loop.run(steps, { signal }).finally(() => {
    model.saveToFile(checkpoint, { inputSignature: signature });
  });
  console.log(
    `Trained in ${seconds.toFixed(0)} seconds, ${number((steps * batch * length) / seconds)} characters a second`,
  );

  const own = {
    name: options.model === 'reformer' ? 'Reformer' : 'Transformer',
    bits: await bitsPerCharacter(model, heldOut, length, signal),
  };
  const scores = [...rivals, own];
  console.log(`\nBits per character on the held-out text (${split.description}):`);
  for (const row of scores) console.log(`  ${row.name.padEnd(12)} ${row.bits.toFixed(3)}`);
  console.log(verdict(own, rivals));

  const written = performance.now();
  const ids = await sample(model, { count: 300, length, temperature: 0.7, key: sampleKey!, signal });
  const sampled = characters.decode(ids);
  const perSecond = (1000 * ids.length) / (performance.now() - written);
  console.log(`\nA sample, written at ${number(perSecond)} characters a second:\n\n${paragraph(sampled)}\n`);

  const picture = join(out, 'loss.svg');
  const losses = loop.history.get('train', `metrics/${task.lossName}`);
  await curveOf(`${name}: bits per character`, losses, scores).plot(picture);
  const results = join(out, 'results.json');
  const bitsPer = Object.fromEntries(scores.map((row) => [row.name.toLowerCase(), row.bits]));
  writeFileSync(results, `${JSON.stringify({ options, bitsPerCharacter: bitsPer, sample: sampled }, null, 2)}\n`);
  console.log(`Weights      ${checkpoint}\nCharacters   ${alphabet}\nLoss curve   ${picture}\nAll results  ${results}`);
  console.log(`Done in ${number((performance.now() - begin) / 1000)} seconds`);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const controller = new AbortController();
  // Once: a second Ctrl-C ends the process in the usual way.
  process.once('SIGINT', () => controller.abort());
  try {
    await run(options, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) {
      console.log(`\nStopped; the weights so far are in ${join(options.out, 'model.safetensors')}`);
      process.exitCode = INTERRUPTED;
      return;
    }
    const ours =
      error instanceof tl.LayerError ||
      error instanceof tl.TensorError ||
      (error instanceof Error && 'syscall' in error);
    if (!ours) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

void main();
