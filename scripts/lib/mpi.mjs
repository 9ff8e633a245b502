import { cargoEnv } from './native.mjs';
import { cargo } from './needs.mjs';
import { at } from './paths.mjs';
import { outcome } from './report.mjs';
import { must, run, step } from './run.mjs';

/** Debian's packages: the library, `mpirun`, and what its bindings are generated with. */
const packages = ['libopenmpi-dev', 'openmpi-bin', 'libclang-dev'];
const runs = async (command, ...args) => (await run(command, args).catch(() => undefined))?.code === 0;
const isRoot = process.getuid?.() === 0;

/** Why there is no MPI on this machine; nothing where there is, also if it had to be installed. */
async function missingMpi() {
  if (process.platform !== 'linux')
    return `ranks that are processes are tested on Linux alone, this is ${process.platform}`;
  const found = () => runs('sh', '-c', 'command -v mpirun && command -v mpicc');
  if (await found()) return undefined;
  const wanted = `install Open MPI (Debian: ${packages.join(' ')})`;
  if (!isRoot || !(await runs('apt-get', '--version'))) return `there is no mpirun here: ${wanted}`;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await step('installing Open MPI', async () => {
    await run('apt-get', ['update'], { env });
    await run('apt-get', ['install', '--yes', '--no-install-recommends', ...packages], { env });
  });
  return (await found()) ? undefined : `Open MPI cannot be had from the system's packages here: ${wanted}`;
}

let looked;
/** The same, looked for once. */
const missing = () => (looked ??= missingMpi());

/** A check that is skipped where there is no MPI. */
const withMpi = ({ name, run }) => ({
  name,
  run: async () => ((await missing()) === undefined ? run() : { passed: 0, failed: 0, skipped: 1 }),
});

/** Says why there is no MPI, if there is none. */
const there = {
  name: 'MPI',
  async run() {
    const output = await missing();
    return output === undefined ? { passed: 1, failed: 0 } : { passed: 0, failed: 0, skipped: 1, output };
  },
};

/** Ends what hangs: long after the time that any of these may take. */
const LONGEST = 60_000;

/** Runs a program as some ranks of this machine. */
async function mpirun(ranks, command, { env } = {}) {
  // The warnings of a machine without a fast network, and of containers, are no news.
  const quiet = ['--mca', 'btl_base_warn_component_unused', '0'];
  const args = [...(isRoot ? ['--allow-run-as-root'] : []), '--oversubscribe', ...quiet, '-np', `${ranks}`, ...command];
  return run('mpirun', args, { env, signal: AbortSignal.timeout(LONGEST) });
}

const program = () => at('target', 'release', 'examples', 'ranks');

/** A check: what is run by how many ranks, how it must end, and what must be in what it prints. */
const check = (what, ranks, { fails = false, prints, env } = {}) => ({
  name: `mpirun -np ${ranks}: ${what}`,
  async run() {
    const { code, signal, output } = await mpirun(ranks, [program(), what], { env });
    const faults = [
      signal !== null && `it did not end (${signal})`,
      (code !== 0) !== fails && `it ended with ${code}`,
      prints && !prints.test(output) && `it does not print ${prints}`,
    ].filter(Boolean);
    const failed = faults.length > 0 ? 1 : 0;
    return { passed: 1 - failed, failed, output: failed ? `${faults.join(', ')}\n${output}` : '' };
  },
});

/** Compiles what the ranks run. */
const compile = {
  name: 'compiling with MPI',
  async run() {
    const args = ['build', '--release', '-p', 'tallow-training', '--features', 'mpi', '--example', 'ranks'];
    return outcome(await run(cargo, args, { env: cargoEnv() }));
  },
};

/** Without a launcher the same program runs alone, and MPI is not started. */
const alone = {
  name: 'without mpirun: alone',
  async run() {
    const output = await must('the program alone', program(), []);
    const passed = output === 'alone\n' ? 1 : 0;
    return { passed, failed: 1 - passed, output: passed ? '' : output };
  },
};

/** What `npm run test:mpi` runs. In each failure it is the last of three ranks that fails, and another one that must say so. */
const checks = [
  compile,
  alone,
  ...[1, 2, 3, 4, 6].map((ranks) => check('operations', ranks)),
  ...[1, 2, 3, 4, 6].map((ranks) => check('training', ranks)),
  check('many', 4),
  check('unlike', 3, { fails: true, prints: /rank 0: .*rank 2 calls all_gather.* where rank 0 calls barrier/ }),
  check('abort', 3, { fails: true, prints: /rank [01]: rank 2 ended the work of all ranks: it has seen enough/ }),
  check('ends', 3, { fails: true, prints: /rank [01]: rank 2 has ended/ }),
  check('exits', 3, { fails: true, prints: /rank [01]: rank 2 has ended: an error that nobody caught/ }),
  check('killed', 3, { fails: true, prints: /process rank 2 .*signal 9/s }),
  check('stopped', 3, { fails: true, prints: /rank [01]: rank 2 stalled/ }),
  check('late', 3, {
    fails: true,
    prints: /rank [01]: rank 2 has not come to barrier .* for 5 s/,
    env: { TALLOW_RANK_TIMEOUT: '5' },
  }),
];

export const mpi = [there, ...checks.map(withMpi)];
