import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { loadTypeScript } from './lib/program.mjs';
import { main, Refusal } from './lib/run.mjs';

const TARGETS = ['safetensors', 'npz', 'npy', 'pickle', 'tokenizer', 'options', 'layers'];

const help = `npm run fuzz -- [options]

Changes real files at random and reads them, and draws layers and uses them. Each must be read, or be refused by an error that tells what is wrong: no
crash, no hang, no memory without bound. An input that shows a fault is written to runs/fuzz, with what was wrong beside it.

  --only <names>   comma-separated: ${TARGETS.join(', ')}
  --inputs <n>     inputs for each (1000, or as many as --minutes allows)
  --minutes <n>    ends after that time
  --seed <n>       where the drawing begins (0); the same seed gives the same inputs
  --help           this text`;

/** A whole number out of the command line. */
function whole(name, text, least) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw new Refusal(`--${name} must be a whole number of at least ${least}, got ${text}`);
  return value;
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      inputs: { type: 'string' },
      minutes: { type: 'string' },
      seed: { type: 'string', default: '0' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void console.log(help);
  const only = values.only?.split(',') ?? [];
  const unknown = only.find((name) => !TARGETS.includes(name));
  if (unknown !== undefined) throw new Refusal(`--only takes ${TARGETS.join(', ')}; \`${unknown}\` is none of them`);
  const minutes = whole('minutes', values.minutes, 1);
  const inputs = whole('inputs', values.inputs, 1) ?? (minutes === undefined ? 1000 : undefined);
  const seed = whole('seed', values.seed, 0);
  await build();
  const found = await loadTypeScript('__test__/fuzz/main.ts').fuzzAll({
    only,
    seed,
    inputs,
    minutes,
    out: 'runs/fuzz',
  });
  if (found.length > 0) throw new Refusal(`${found.length} inputs showed a fault; they are in runs/fuzz`);
});
