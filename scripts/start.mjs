import { existsSync } from 'node:fs';
import { build, prepare } from './build.mjs';
import { at } from './lib/paths.mjs';
import { loadTypeScript, runProgram } from './lib/program.mjs';
import { main } from './lib/run.mjs';

const folder = 'examples/moby-dick';

// Only Node's own modules may be loaded before prepare(): in a fresh clone nothing is installed yet.
await main(async () => {
  await prepare();
  // The flags are read before the addon is built: `--help` and mistakes need not wait for a compiler.
  if (existsSync(at(folder, 'options.ts'))) loadTypeScript(`${folder}/options.ts`).parseOptions(process.argv.slice(2));
  await build();
  runProgram(`${folder}/main.ts`);
});
