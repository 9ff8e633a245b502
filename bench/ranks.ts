/**
 * What a step takes on two ranks with one thread each, beside one process with two: `npx tsx bench/ranks.ts [rounds] [steps]`.
 *
 * The ranks are threads of a process, and processes under `mpirun` (Open MPI with its headers must be there). All take turns, so that whatever else the machine
 * does falls on each alike; figures are the medians of the rounds.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { median } from './measure.js';

const [rounds = 7, steps = 10] = process.argv.slice(2).map(Number);
const root = join(__dirname, '..');
const program = join(root, 'target', 'release', 'examples', 'ranks_bench');
const mpirun = ['--allow-run-as-root', '--oversubscribe', '-np', '2', program, 'mpi', `${steps}`];
const contenders = {
  'one process, two threads': { threads: 2, command: program, args: ['alone', `${steps}`] },
  'two ranks that are threads': { threads: 1, command: program, args: ['threads', '2', `${steps}`] },
  'two ranks that are processes': { threads: 1, command: 'mpirun', args: mpirun },
};

/** Seconds of a step and of a bare sum, bytes that a step sends, and bytes of the gradients. */
type Figures = readonly [step: number, sum: number, bytes: number, gradients: number];

const build = ['build', '--release', '-p', 'tallow-training', '--features', 'mpi', '--example', 'ranks_bench'];
execFileSync('cargo', build, { cwd: root, stdio: 'inherit' });
const rows = Object.entries(contenders).map(([name, by]) => ({ name, by, figures: [] as Figures[] }));
for (let round = 0; round < rounds; round += 1) {
  for (const { by, figures } of rows) {
    const env = { ...process.env, TALLOW_NUM_THREADS: `${by.threads}` };
    figures.push(JSON.parse(execFileSync(by.command, by.args, { env, encoding: 'utf8' })) as Figures);
  }
}
const ms = (seconds: number): string => `${(1000 * seconds).toFixed(1)} ms`;
for (const { name, figures } of rows) {
  const of = (i: 0 | 1 | 2 | 3): number => median(figures.map((one) => one[i]));
  const ratio = median(figures.map(([step], round) => rows[0]!.figures[round]![0] / step));
  const sent = of(2) === 0 ? '' : `, a bare sum ${ms(of(1))}, sends ${(of(2) / of(3)).toFixed(3)} times the gradients`;
  console.log(`${name}: a step ${ms(of(0))}, ${ratio.toFixed(2)} times as fast as one process${sent}`);
}
