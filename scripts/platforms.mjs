import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { needNode } from './lib/needs.mjs';
import { buildAddon, GLIBC, installApart, lacking, symbolFaults, targets, tried } from './lib/platforms.mjs';
import { green, main, red, Refusal, step } from './lib/run.mjs';

const help = `npm run check:platforms -- [platform…] [options]

Builds the package for other platforms, installs it by name in an empty folder, and runs it there: golden cases, a training, saving and loading,
60 workers. Other processors are emulated. The addons for Linux may need glibc ${GLIBC} and no library beside it, which is checked too. Without
names it takes all platforms, and says of each what ran, or why it could not be tried.

  --list     names the platforms
  --help     this text

Needs cargo-zigbuild and zig, std for each target, and qemu-user for what is emulated.`;

/** What came of a platform: [whether it is a failure, what to say]. */
async function outcome(platform) {
  const target = targets[platform];
  if (target.why) return [false, `not tried: ${target.why}`];
  const missing = await lacking(target);
  if (missing.length > 0) return [false, `not tried: missing ${missing.join('; ')}`];
  const addon = await step(`${platform}: building`, () => buildAddon(platform));
  const faults = await symbolFaults(addon);
  if (faults.length > 0) return [true, faults.join('; ')];
  const app = await step(`${platform}: installing`, () => installApart(platform));
  const seen = await step(`${platform}: running`, () => tried(platform, app));
  if (seen.failed) return [true, seen.failed];
  const { node, arch, cases, failures, workers } = seen;
  const where = `${target.emulator ? `${target.emulator}, ` : ''}Node ${node.slice(1)} ${arch}`;
  const told = `ran (${where}): ${cases - failures.length} of ${cases} golden cases, training, files, ${workers} workers; glibc ${GLIBC}`;
  return failures.length > 0 ? [true, [told, ...failures].join('\n  ')] : [false, told];
}

await main(async () => {
  const options = { list: { type: 'boolean' }, help: { type: 'boolean' } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) return void console.log(help);
  const known = Object.keys(targets);
  if (values.list) return void console.log(known.join('\n'));
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Refusal(`${unknown} is no platform of ours; they are ${known.join(', ')}`);
  needNode();
  await build();
  const rows = [];
  for (const platform of positionals.length > 0 ? positionals : known) {
    const [failed, told] = await outcome(platform).catch((error) => {
      if (!(error instanceof Refusal)) throw error;
      return [true, error.message];
    });
    rows.push({ platform, failed, told });
  }
  console.log();
  for (const { platform, failed, told } of rows) {
    console.log(`${(failed ? red : green)(platform.padEnd(18))}${told}`);
  }
  if (rows.some(({ failed }) => failed)) throw new Refusal('not every platform that was tried works');
});
