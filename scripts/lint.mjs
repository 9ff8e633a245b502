import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { lint } from './lib/checks.mjs';
import { cargo, needCargo, tool } from './lib/needs.mjs';
import { dim, duration, green, main, must, red } from './lib/run.mjs';

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
  if (values.fix) {
    await must('cargo fmt', cargo, ['fmt', '--all']);
    await must('oxlint --fix', process.execPath, [tool('oxlint'), '--fix']);
    await must('prettier --write', process.execPath, [tool('prettier'), '--write', '--log-level=warn', '.']);
  }
  let failures = 0;
  for (const check of lint) {
    const start = performance.now();
    const { failed, output } = await check.run();
    if (output) console.log(output.trimEnd());
    console.log(`${failed > 0 ? red('✗') : green('✓')} ${check.name} ${dim(duration(performance.now() - start))}`);
    failures += failed;
  }
  return failures > 0 ? 1 : 0;
});
