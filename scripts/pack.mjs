import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { packAll } from './lib/packages.mjs';
import { root } from './lib/paths.mjs';
import { main, step } from './lib/run.mjs';

const help = `npm run package -- [options]

Packs what is published: tallow, and one package per platform whose addon is at hand.

  --out <folder>     where the tarballs go (target/packages)
  --addons <folder>  where the addons (tallow.<platform>.node) lie (the root of the checkout)
  --help             this text`;

await main(async () => {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'target/packages' },
      addons: { type: 'string', default: root },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void console.log(help);
  await build();
  mkdirSync(values.out, { recursive: true });
  const tarballs = await step('packing', () => packAll(values.out, values.addons));
  for (const tarball of tarballs) console.log(tarball);
});
