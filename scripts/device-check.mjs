import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { countTap } from './lib/checks.mjs';
import { needNode, tool } from './lib/needs.mjs';
import { at } from './lib/paths.mjs';
import { main, must, Refusal, run, step } from './lib/run.mjs';

const help = `node scripts/device-check.mjs [options]

Holds a device against the CPU, in some minutes, and prints one table: the golden cases, the losses of training steps of four models, the same steps
once more for their bits, what the steps left to the CPU, and how long they took.

  --device <name>  cuda:0 (the default), metal:0 or cpu; the addon is built for its kind
  --steps <n>      training steps of each model (200)
  --only <part>    golden or steps
  --help           this text`;

/** How far the loss of a step may be from that of the CPU. */
const TOLERANCE = 1e-3;

/** Losses of the steps of all models on a device. */
async function trained(device, steps) {
  const args = [at('scripts', 'lib', 'steps.mjs'), String(steps), device];
  return JSON.parse(await must(`training on ${device}`, process.execPath, args));
}

/** The golden cases in TypeScript, on a device: a line of the table. */
async function golden(device) {
  const args = [tool('ava'), '--tap', '__test__/golden.spec.ts'];
  const { code, output } = await run(process.execPath, args, { env: { CI: 'true', TALLOW_TEST_DEVICE: device } });
  const { passed, failed, skipped } = countTap(output, code);
  const found = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  return [{ what: 'golden cases', good: failed === 0 && passed > 0, found }];
}

/** The steps of each model: a line of the table each, and one for the bits. */
async function stepped(device, steps) {
  const [cpu, first, again] = [await trained('cpu', steps), await trained(device, steps), await trained(device, steps)];
  const rows = Object.entries(first.models).map(([name, { losses, hostTrips }]) => {
    const apart = Math.max(...losses.map((loss, i) => Math.abs(loss - cpu.models[name].losses[i])));
    const trips = hostTrips.map(({ what, times }) => `${times} × ${what}`).join(', ') || 'none';
    return {
      what: `${steps} steps of ${name}`,
      good: apart <= TOLERANCE,
      found: `losses at most ${apart.toExponential(1)} from the CPU's; trips to the CPU: ${trips}`,
    };
  });
  const same = JSON.stringify(first.models) === JSON.stringify(again.models);
  rows.push({ what: 'the same bits twice', good: same, found: same ? 'yes' : 'no' });
  const seconds = [first, cpu].map((all) => all.seconds.toFixed(1));
  rows.push({ what: 'time of all steps', good: true, found: `${seconds[0]} s, on the CPU ${seconds[1]} s` });
  return rows;
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      device: { type: 'string', default: 'cuda:0' },
      steps: { type: 'string', default: '200' },
      only: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void console.log(help);
  needNode();
  const kind = /^(cpu|cuda|metal)(?::\d+)?$/.exec(values.device)?.[1];
  const steps = Number(values.steps);
  if (kind === undefined) throw new Refusal(`--device takes cpu, cuda:N or metal:N; got ${values.device}`);
  if (!Number.isInteger(steps) || steps < 1) throw new Refusal(`--steps takes a whole number; got ${values.steps}`);
  const parts = { golden: () => golden(values.device), steps: () => stepped(values.device, steps) };
  const wanted = values.only === undefined ? Object.keys(parts) : [values.only];
  const unknown = wanted.find((part) => !Object.hasOwn(parts, part));
  if (unknown !== undefined) throw new Refusal(`--only takes golden or steps; \`${unknown}\` is neither`);
  await build({ features: kind === 'cpu' ? [] : [kind] });
  const rows = [];
  for (const part of wanted) rows.push(...(await step(`${part} on ${values.device}`, parts[part])));
  console.log(`\n| ${values.device} | passes | found |\n|---|---|---|`);
  for (const { what, good, found } of rows) console.log(`| ${what} | ${good ? 'yes' : 'NO'} | ${found} |`);
  if (rows.some(({ good }) => !good)) throw new Refusal(`${values.device} does not compute as the CPU does`);
});
