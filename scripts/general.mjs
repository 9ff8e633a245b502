import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { cargoEnv } from './lib/native.mjs';
import { cargo, needNode, tool } from './lib/needs.mjs';
import { at } from './lib/paths.mjs';
import { main, must, Refusal, run, step } from './lib/run.mjs';

const help = `npm run test:general -- [options]

Runs the golden and conformance cases on the general path: operations composed of candle's, as accelerators compute them, on the CPU. Then the
golden cases on our kernels for accelerators, by the launcher for the CPU, and 200 training steps of four models on the general path, whose losses are held
against those of the CPU's kernels. It is slow. The environment variable TALLOW_GENERAL_PATH=1 chooses that path in any program.

  --only <part>  rust, kernels, js or steps
  --help         this text`;

const general = { TALLOW_GENERAL_PATH: '1' };
const table = ['test', '--release', '--package', 'tallow-layers', '--test', 'table'];

/** A command that passes or fails. */
const passes = (command, args, env) => async () => {
  const { code } = await run(command, args(), { live: true, env: { ...cargoEnv(), ...general, ...env } });
  return code === 0;
};

/** How far a loss may be from that of the kernels: so far that rounding alone never comes there in 200 steps of these models. */
const TOLERANCE = 1e-4;
/** What steps of these models may compute on the CPU, of the list in `crates/tensor/src/host_trips.rs`. */
const TRIPS = ['values that are read', 'argmax and argmin', 'cast of floats to integers, and of 64 bits to 16'];

/** The losses of 200 steps of all models, and their trips to the CPU. */
async function trained(env) {
  const args = [at('scripts', 'lib', 'steps.mjs'), '200'];
  return JSON.parse(await must('training', process.execPath, args, { env })).models;
}

/** Trains on both paths, and says where the losses part. */
async function steps() {
  const [kernels, composed] = [await trained({}), await trained(general)];
  let passed = true;
  for (const [name, { losses, hostTrips }] of Object.entries(composed)) {
    const apart = Math.max(...losses.map((loss, i) => Math.abs(loss - kernels[name].losses[i])));
    const others = hostTrips.filter(({ what }) => !TRIPS.includes(what)).map(({ what }) => what);
    const good = apart <= TOLERANCE && others.length === 0;
    passed &&= good;
    const trips = others.length > 0 ? `; on the CPU were computed ${others.join(', ')}` : '';
    console.log(`${good ? 'pass' : 'FAIL'} ${name}: losses at most ${apart.toExponential(1)} apart${trips}`);
  }
  return passed;
}

const parts = {
  rust: { name: 'cases in Rust, on the general path', passes: passes(cargo, () => table) },
  kernels: {
    name: 'golden cases in Rust, on kernels for accelerators',
    passes: passes(cargo, () => [...table, '--', 'golden'], { TALLOW_DEVICE_KERNELS: '1' }),
  },
  js: {
    name: 'cases in TypeScript, on the general path',
    passes: passes(process.execPath, () => [tool('ava'), '__test__/golden.spec.ts', '__test__/models/golden.spec.ts']),
  },
  steps: { name: '200 training steps on the general path', passes: steps },
};

await main(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  const wanted = values.only === undefined ? Object.keys(parts) : [values.only];
  const unknown = wanted.find((part) => !Object.hasOwn(parts, part));
  if (unknown !== undefined) {
    throw new Refusal(`--only takes ${Object.keys(parts).join(', ')}; \`${unknown}\` is none of them`);
  }
  await build();
  let failed = 0;
  for (const part of wanted) {
    await step(parts[part].name, async () => {
      failed += (await parts[part].passes()) ? 0 : 1;
    });
  }
  if (failed > 0) throw new Refusal('the general path gives other results');
});
