import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { npm } from './needs.mjs';
import { at, fingerprint, readStamp, writeStamp } from './paths.mjs';
import { Refusal, run, step } from './run.mjs';

/** The programs that releases and checks of workflows need, with versions and checksums of their own. */
const FOLDER = 'scripts/tools';
const LOCK = `${FOLDER}/package-lock.json`;

const areInstalled = () => existsSync(at(FOLDER, 'node_modules')) && readStamp('tools') === fingerprint([LOCK]);

/** Installs the tools where they are missing or not those of the lockfile; gives what loads one of them. Refuses where they cannot be had. */
export async function needTools() {
  if (!areInstalled()) {
    const flags = ['--prefix', at(FOLDER), '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const [command, args] = npm('ci', ...flags);
    await step('installing tools', async () => {
      const { code, output } = await run(command, args);
      if (code !== 0) throw new Refusal(`the tools in ${FOLDER} cannot be installed: ${output.trim().split('\n')[0]}`);
    });
    writeStamp('tools', fingerprint([LOCK]));
  }
  return createRequire(at(FOLDER, 'package.json'));
}
