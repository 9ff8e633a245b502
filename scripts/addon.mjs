import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cargoEnv } from './lib/native.mjs';
import { cargo, needCargo, needNode } from './lib/needs.mjs';
import { at, readJson, root } from './lib/paths.mjs';
import { main, Refusal, run, step } from './lib/run.mjs';
import { recipe } from './lib/targets.mjs';

const help = `npm run addon -- --target <triple> [options]

Builds the addon of one target as it is published, with link-time optimization and without symbols: tallow.<platform>.node. It takes many minutes.
Targets of Linux are linked by zig (cargo-zigbuild and ziglang, both on PyPI), against glibc 2.28 or musl.

  --target <triple>  one of package.json's napi.targets
  --out <folder>     where it goes (addons)
  --help             this text`;

await main(async () => {
  const { values } = parseArgs({
    options: { target: { type: 'string' }, out: { type: 'string', default: 'addons' }, help: { type: 'boolean' } },
  });
  if (values.help) return void console.log(help);
  needNode();
  const { targets } = readJson('package.json').napi;
  if (!targets.includes(values.target)) throw new Refusal(`--target takes ${targets.join(', ')}`);
  await needCargo();
  const { platform, args, env, library } = recipe(values.target, root);
  await step(`building the addon of ${values.target}`, async () => {
    const { code } = await run(cargo, args, { live: true, env: { ...cargoEnv(), ...env } });
    if (code !== 0) throw new Refusal(`cargo ${args[0]} failed (exit code ${code})`);
  });
  mkdirSync(values.out, { recursive: true });
  const file = join(values.out, `tallow.${platform}.node`);
  copyFileSync(at('target', values.target, 'dist', library), file);
  console.log(file);
});
