import { build } from './build.mjs';
import { runProgram } from './lib/program.mjs';
import { main } from './lib/run.mjs';

// All flags, --help included, belong to the program.
await main(async () => {
  await build();
  runProgram('bench/main.ts');
});
