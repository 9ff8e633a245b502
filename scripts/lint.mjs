import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { lint, mend } from './lib/checks.mjs';
import { needCargo } from './lib/needs.mjs';
import { report } from './lib/report.mjs';
import { main } from './lib/run.mjs';

const help = `npm run lint -- [options]

rustfmt, Prettier, clippy, oxlint and tsc over everything; a warning is a failure.

  --fix    first let rustfmt, Prettier and oxlint mend what they can
  --help   this text`;

await main(async () => {
  const { values } = parseArgs({ options: { fix: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  await needCargo();
  // tsc needs the types that the addon's build writes, and the examples see the package as its users do.
  await build();
  if (values.fix) await mend();
  const { failed } = await report(lint);
  return failed > 0 ? 1 : 0;
});
