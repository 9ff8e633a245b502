import { parseArgs } from 'node:util';
import { build, prepare } from './build.mjs';
import { codegen, javascript, lint, mend, types } from './lib/checks.mjs';
import { needCargo } from './lib/needs.mjs';
import { main } from './lib/run.mjs';
import { figures, report } from './lib/report.mjs';
import { changedFiles, specsFor } from './lib/specs.mjs';

const help = `npm run ready -- [options]

What to run before a commit: rustfmt, oxlint and Prettier mend what they can, what is stale is built, then come the lint, the generator's
check, the types, and the TypeScript tests that are called as a file that differs from the last commit, or as its folder. It takes
less than a minute when no Rust must be built; \`npm test\` runs everything.

  --check  mends nothing
  --help   this text`;

await main(async () => {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  await prepare();
  await needCargo();
  if (!values.check) await mend();
  await build();
  const specs = specsFor(await changedFiles());
  const total = await report([...lint, codegen, types, ...(specs.length > 0 ? [javascript(specs)] : [])]);
  console.log(figures(total, true));
  return total.failed > 0 ? 1 : 0;
});
