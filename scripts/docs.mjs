import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { tool } from './lib/needs.mjs';
import { main, must, step } from './lib/run.mjs';

const help = `npm run docs

Writes the reference into docs/api from the comments in src/. A warning is a failure.

  --help   this text`;

await main(async () => {
  const { values } = parseArgs({ options: { help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  await build();
  await step('writing docs/api', () => must('typedoc', process.execPath, [tool('typedoc'), '--treatWarningsAsErrors']));
});
