import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { oversize, packAll } from './lib/packages.mjs';
import { readJson, root } from './lib/paths.mjs';
import { main, Refusal, step } from './lib/run.mjs';
import { sbom } from './lib/sbom.mjs';

const help = `npm run package -- [options]

Packs what is published: tallow, and one package per platform whose addon is at hand.

  --out <folder>     where the tarballs go (target/packages)
  --addons <folder>  where the addons (tallow.<platform>.node) lie (the root of the checkout)
  --sbom             also writes tallow-<version>.cdx.json, a list of all that the packages contain and need (CycloneDX)
  --limits           fails where a tarball is larger than may be published; addons of \`npm run build\` are, as they have no link-time optimization
  --help             this text`;

await main(async () => {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'target/packages' },
      addons: { type: 'string', default: root },
      sbom: { type: 'boolean' },
      limits: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void console.log(help);
  await build();
  mkdirSync(values.out, { recursive: true });
  const tarballs = await step('packing', () => packAll(values.out, values.addons));
  const sizes = tarballs.map((path) => ({ name: basename(path), bytes: statSync(path).size }));
  for (const path of tarballs) console.log(path);
  for (const { name, bytes } of sizes) console.log(`${name}: ${(bytes / 1000).toFixed(0)} kB`);
  if (values.sbom) {
    const path = join(values.out, `tallow-${readJson('package.json').version}.cdx.json`);
    writeFileSync(path, await sbom());
    console.log(path);
  }
  const faults = values.limits ? oversize(sizes) : [];
  if (faults.length > 0) throw new Refusal(faults.join('\n'));
});
