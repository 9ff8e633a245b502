/** Trains the model on a text, goes on where an earlier run stopped, and lets the model write at the end. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as tl from 'tallow';
import { evalTask, generation, makeModel, saveModel, STEPS, trainTask } from './model.js';
import { readText } from './text.js';

/** Texts that the model writes at the end, and their length. */
const [SAMPLES, CHARACTERS] = [3, 200];

const { values } = parseArgs({
  options: {
    text: { type: 'string', default: 'text.txt' },
    steps: { type: 'string', default: String(STEPS) },
    folder: { type: 'string', default: 'runs' },
  },
});
const { text, folder } = values;
const steps = Number(values.steps);

const { encoder, train, heldOut } = readText(text);
const model = makeModel(encoder.vocabSize);
mkdirSync(folder, { recursive: true });

const loop = new tl.training.Loop(model, trainTask(train), {
  evalTasks: evalTask(heldOut),
  outputDir: join(folder, 'run'),
  randomSeed: 0,
  callbacks: [
    new tl.training.Progress(),
    new tl.training.CsvLog(join(folder, 'history.csv')),
    new tl.training.EarlyStopping({ metric: 'loss', mode: 'min', patience: 10 }),
  ],
});
await loop.prepare();
if (loop.step > 0) console.log(`Going on from step ${loop.step}`);

// Ctrl-C ends the run behind the step that is computed; the checkpoint is written all the same.
process.once('SIGINT', () => loop.stop());
const { stopped } = await loop.run({ until: steps });
await loop.saveCheckpoint();
await saveModel(join(folder, 'model'), model, encoder);
writeFileSync(join(folder, 'history.json'), JSON.stringify(loop.history));
console.log(`${stopped ? 'Stopped' : 'Done'} at step ${loop.step}`);

for (let i = 0; i < SAMPLES; i += 1) {
  const { text: written } = await tl.decoding.sample(model, 'The ', {
    ...generation,
    encoder,
    rng: tl.random.key(i),
    temperature: 0.7,
    maxTokens: CHARACTERS,
  });
  console.log(`\nThe ${written}`);
}
