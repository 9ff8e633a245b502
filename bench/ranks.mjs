/**
 * What a step takes on two ranks with one thread each, beside one process with two: `node bench/ranks.mjs [rounds] [steps]`.
 *
 * The ranks are threads of a process, and processes under `mpirun` (Open MPI with its headers must be there). All take turns, so that whatever else the machine
 * does falls on each alike; figures are the medians of the rounds.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const [rounds = 7, steps = 10] = process.argv.slice(2).map(Number);
const root = join(import.meta.dirname, '..');
const program = join(root, 'target', 'release', 'examples', 'ranks_bench');
const mpirun = ['--allow-run-as-root', '--oversubscribe', '-np', '2', program, 'mpi', `${steps}`];
const contenders = {
  'one process, two threads': { threads: 2, command: program, args: ['alone', `${steps}`] },
  'two ranks that are threads': { threads: 1, command: program, args: ['threads', '2', `${steps}`] },
  'two ranks that are processes': { threads: 1, command: 'mpirun', args: mpirun },
};

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const build = ['build', '--release', '-p', 'tallow-training', '--features', 'mpi', '--example', 'ranks_bench'];
execFileSync('cargo', build, { cwd: root, stdio: 'inherit' });
const found = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
for (let round = 0; round < rounds; round += 1) {
  for (const [name, { threads, command, args }] of Object.entries(contenders)) {
    const env = { ...process.env, TALLOW_NUM_THREADS: `${threads}` };
    found[name].push(JSON.parse(execFileSync(command, args, { env, encoding: 'utf8' })));
  }
}
const [first] = Object.values(found);
const ms = (seconds) => `${(1000 * seconds).toFixed(1)} ms`;
for (const [name, figures] of Object.entries(found)) {
  const [step, sum, bytes, gradients] = [0, 1, 2, 3].map((i) => median(figures.map((of) => of[i])));
  const ratio = median(figures.map(([own], i) => first[i][0] / own));
  const sent =
    bytes === 0 ? '' : `, a bare sum ${ms(sum)}, sends ${(bytes / gradients).toFixed(3)} times the gradients`;
  console.log(`${name}: a step ${ms(step)}, ${ratio.toFixed(2)} times as fast as one process${sent}`);
}
