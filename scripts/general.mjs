import { parseArgs } from 'node:util';
import { cargo, needNode, tool } from './lib/needs.mjs';
import { build } from './build.mjs';
import { cargoEnv } from './lib/native.mjs';
import { main, Refusal, run, step } from './lib/run.mjs';

const help = `npm run test:general -- [options]

Runs the golden and conformance cases on the general path: operations composed of candle's, as accelerators compute them, on the CPU. It is slow.
The environment variable TALLOW_GENERAL_PATH=1 chooses that path in any program.

  --only <part>  rust or js
  --help         this text`;

const general = { TALLOW_GENERAL_PATH: '1' };
const parts = {
  rust: {
    name: 'cases in Rust',
    command: () => [cargo, ['test', '--release', '--package', 'tallow-layers', '--test', 'table']],
  },
  js: {
    name: 'cases in TypeScript',
    command: () => [process.execPath, [tool('ava'), '__test__/golden.spec.ts', '__test__/models/golden.spec.ts']],
  },
};

await main(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  const wanted = values.only === undefined ? Object.keys(parts) : [values.only];
  const unknown = wanted.find((part) => !Object.hasOwn(parts, part));
  if (unknown !== undefined) {
    throw new Refusal(`--only takes ${Object.keys(parts).join(' or ')}; \`${unknown}\` is neither`);
  }
  await build();
  let failed = 0;
  for (const part of wanted) {
    const { name, command } = parts[part];
    await step(`${name}, on the general path`, async () => {
      const { code } = await run(...command(), { live: true, env: { ...cargoEnv(), ...general } });
      failed += code === 0 ? 0 : 1;
    });
  }
  if (failed > 0) throw new Refusal('the general path gives other results');
});
