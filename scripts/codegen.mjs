import { parseArgs } from 'node:util';
import { codegenCommand } from './lib/checks.mjs';
import { cargoEnv } from './lib/native.mjs';
import { cargo, needCargo, needNode } from './lib/needs.mjs';
import { main, run } from './lib/run.mjs';

const help = `npm run codegen -- [options]

Writes what is derived from the layer registry: src/generated/ and docs/layers.md.

  --check   write nothing; fail when something differs
  --help    this text`;

await main(async () => {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  await needCargo();
  const { code } = await run(cargo, codegenCommand(values.check ? ['--check'] : []), { live: true, env: cargoEnv() });
  return code;
});
