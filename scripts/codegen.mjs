import { parseArgs } from 'node:util';
import { codegen } from './lib/checks.mjs';
import { stale, write } from './lib/generated.mjs';
import { needCargo, needNode, needPackages } from './lib/needs.mjs';
import { main } from './lib/run.mjs';

const help = `npm run codegen -- [options]

Writes what is derived from the layer registry: src/generated/, docs/layers.md and docs/models.md.

  --check   write nothing; fail when something differs
  --help    this text`;

await main(async () => {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  await needCargo();
  await needPackages();
  if (values.check) {
    const { failed, output } = await codegen.run();
    if (output) console.error(output);
    return failed;
  }
  const { refused, files } = await stale();
  if (refused) {
    process.stderr.write(refused);
    return 1;
  }
  for (const file of files) {
    write(file);
    console.log(`${file.text === null ? 'removed' : 'wrote'} ${file.path}`);
  }
});
