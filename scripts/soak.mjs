import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { tool } from './lib/needs.mjs';
import { main, Refusal, run, step } from './lib/run.mjs';

/** The tests of what only shows in a long run. */
const SPECS = [
  '__test__/training/longRun.spec.ts',
  '__test__/training/damage.spec.ts',
  '__test__/models/folderKilled.spec.ts',
  '__test__/electron/workers.spec.ts',
  '__test__/fileSafety.spec.ts',
];

const help = `npm run soak -- [options]

Runs the tests of long runs again and again: 20,000 training steps whose memory must not grow, processes killed while they save, flipped bits, workers
ended while they train. Each round draws other places for bits, cuts and kills.

  --rounds <n>   rounds (1, or as many as --minutes allows)
  --minutes <n>  begins no round after that time
  --help         this text`;

await main(async () => {
  const { values } = parseArgs({
    options: { rounds: { type: 'string' }, minutes: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help) return void console.log(help);
  const [minutes, rounds] = [values.minutes, values.rounds].map((text) =>
    text === undefined ? undefined : Number(text),
  );
  const wrong = [minutes, rounds].find((value) => value !== undefined && !(value >= 1));
  if (wrong !== undefined) throw new Refusal('--minutes and --rounds must be numbers of at least 1');
  await build();
  const begun = performance.now();
  const most = rounds ?? (minutes === undefined ? 1 : Infinity);
  for (let round = 0; round < most && performance.now() - begun <= (minutes ?? Infinity) * 60_000; round += 1) {
    await step(`round ${round + 1}`, async () => {
      const env = { TALLOW_SOAK_ROUND: String(round) };
      const { code } = await run(process.execPath, [tool('ava'), '--serial', ...SPECS], { live: true, env });
      if (code !== 0) throw new Refusal(`round ${round + 1} failed; TALLOW_SOAK_ROUND=${round} draws the same again`);
    });
  }
});
