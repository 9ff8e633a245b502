import { parseArgs } from 'node:util';
import { buildJavaScript, javascriptIsFresh } from './lib/javascript.mjs';
import { buildNative, featuresOf, nativeIsFresh } from './lib/native.mjs';
import { needCargo, needNode, needPackages } from './lib/needs.mjs';
import { main, Refusal, step } from './lib/run.mjs';

const help = `npm run build -- [options]

Builds what is stale: the addon (Rust) and dist/ (TypeScript).

  --force    build everything again
  --native   the addon only
  --features <names>
             an addon with more, names with commas between: cuda (needs CUDA's nvcc), metal, mpi (needs a library of MPI);
             without it, for one process on the CPU
  --check    build nothing; fail when something is stale
  --help     this text`;

/** Refuses what cannot build, before anything is installed; then installs the npm packages. */
export async function prepare({ force = false, features = [] } = {}) {
  needNode();
  if (force || !nativeIsFresh(features)) await needCargo();
  await needPackages();
}

/** Builds what is stale. Used by the other scripts too. */
export async function build({ force = false, native: nativeOnly = false, features = [] } = {}) {
  await prepare({ force, features });
  if (force || !nativeIsFresh(features)) await step('building the addon (Rust)', () => buildNative(features));
  if (!nativeOnly && (force || !javascriptIsFresh())) await step('building dist/ (TypeScript)', buildJavaScript);
}

function check(features) {
  const stale = [!nativeIsFresh(features) && 'the addon', !javascriptIsFresh() && 'dist/'].filter(Boolean);
  if (stale.length > 0) throw new Refusal(`${stale.join(' and ')} must be built first: npm run build`);
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  await main(async () => {
    const { values } = parseArgs({
      options: {
        force: { type: 'boolean' },
        native: { type: 'boolean' },
        features: { type: 'string' },
        check: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
    if (values.help) return void console.log(help);
    const features = featuresOf(values.features);
    if (values.check) return void check(features);
    const start = performance.now();
    await build({ ...values, features });
    if (performance.now() - start < 1500) console.log('everything is up to date');
  });
}
