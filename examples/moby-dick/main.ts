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
import { readText, splitMobyDick, splitText, Vocabulary } from './book.js';
import { drawCurve } from './chart.js';
import { bitsPerCharacter, verdict } from './evaluate.js';
import { enlargeEmbedding, makeModel } from './models.js';
import { NGram } from './ngram.js';
import { type Options, parseOptions } from './options.js';
import { clock, short } from './progress.js';
import { sample } from './sample.js';

const BITS = 1 / Math.LN2;
/** Exit code of a program that Ctrl-C ended. */
const INTERRUPTED = 130;

const number = (n: number): string => n.toLocaleString('en-US');
/** Lines of at most 100 characters, broken at spaces, set in by two. */
const paragraph = (text: string): string =>
  text
    .replace(/(.{1,98})(?:[ \n]|$)/g, '$1\n')
    .trimEnd()
    .replace(/^/gm, '  ');
const mean = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0) / xs.length;

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { steps, length, batch, learningRate, seed, out } = options;
  const modelName = options.model === 'reformer' ? 'Reformer' : 'Transformer';
  const begin = performance.now();
  mkdirSync(out, { recursive: true });

  const name = options.text ?? 'Moby-Dick';
  const split = options.text === undefined ? splitMobyDick() : splitText(readText(options.text));
  const vocabulary = new Vocabulary(split.train);
  const train = vocabulary.encode(split.train);
  const heldOut = vocabulary.encode(split.heldOut);
  console.log(
    `${name}: ${number(train.length)} characters to learn from, ${number(heldOut.length)} held out (${split.description})`,
  );

  const rivals = ['Unigram', 'Bigram', 'Trigram'].map((rival, i) => ({
    name: rival,
    bits: new NGram(i + 1, vocabulary.size, train).bits(heldOut),
  }));

  const [initKey, batchKey, stepKey, sampleKey] = tl.random.split(tl.random.key(seed), 4).array() as [number, number][];
  const model = makeModel(vocabulary.size, options);
  const modelWithLoss = tl.Serial(model, tl.CategoryCrossEntropy());
  const signature: tl.Signature = { shape: [batch, length], dtype: 'int32' };
  modelWithLoss.init([signature, signature], { rng: initKey! });
  if (options.model === 'reformer') enlargeEmbedding(model, options.dModel);
  const weights = tl.tree.leaves(model.weights).reduce((sum, w) => sum + w.size, 0);
  console.log(
    `Training: ${number(weights)} weights, ${number(steps)} steps of ${batch} × ${length} characters; Ctrl-C stops and saves`,
  );

  const warmupSteps = Math.max(1, Math.round(steps / 10));
  const schedule = tl.lrSchedules.multifactor({
    factors: 'constant * linear_warmup * cosine_decay',
    constant: learningRate,
    warmupSteps,
    // One more than is left, as the cosine begins anew at its end.
    stepsPerCycle: steps - warmupSteps + 1,
  });
  const trainer = new tl.Trainer(modelWithLoss, tl.optimizers.Adam());
  const checkpoint = join(out, 'model.safetensors');
  const training: number[] = [];
  const progress = new tl.training.ProgressBar(steps);
  let seconds = 0;
  try {
    await trainer.fit(batches(train, batch, length, batchKey!), {
      steps,
      rng: stepKey!,
      schedule,
      signal,
      onProgress: (report) => {
        training.push(report.loss * BITS);
        seconds = report.seconds;
        const loss = mean(training.slice(-20)).toFixed(2);
        progress.update(report.done, `loss ${loss} bits · ${short(report.items / seconds)} tokens/s`);
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    progress.stop();
  }
  await trainer.save(checkpoint, training.length);
  signal.throwIfAborted();
  console.log(
    `Trained in ${clock(seconds)}, ${number(Math.round((steps * batch * length) / seconds))} characters a second`,
  );

  const bits = await bitsPerCharacter(model, heldOut, length, signal);
  console.log(`\nBits per character on the held-out text (${split.description}):`);
  const own = { name: modelName, bits };
  for (const row of [...rivals, own]) console.log(`  ${row.name.padEnd(12)} ${row.bits.toFixed(3)}`);
  console.log(verdict(own, rivals));

  const written = performance.now();
  const ids = await sample(model, { count: 300, length, temperature: 0.7, key: sampleKey!, signal });
  const text = vocabulary.decode(ids);
  const perSecond = (1000 * ids.length) / (performance.now() - written);
  console.log(`\nA sample, written at ${number(Math.round(perSecond))} characters a second:\n\n${paragraph(text)}\n`);

  const picture = join(out, 'loss.svg');
  writeFileSync(
    picture,
    await drawCurve({
      title: `${name}, character by character`,
      subtitle: 'The loss of each training step; dashed: scores on the held-out text',
      training,
      own,
      rivals,
    }),
  );
  const results = join(out, 'results.json');
  const scores = Object.fromEntries([...rivals, own].map((row) => [row.name.toLowerCase(), row.bits]));
  writeFileSync(
    results,
    `${JSON.stringify({ options, bitsPerCharacter: scores, sample: text, characters: vocabulary.characters.join('') }, null, 2)}\n`,
  );
  console.log(
    `Weights      ${checkpoint}\nLoss curve   ${picture}\nAll results  ${results}\nDone in ${clock((performance.now() - begin) / 1000)}`,
  );
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
