/** Ranks that are processes, where there are none: `npm run test:mpi` runs those that are. */
import test from 'ava';
import * as tl from 'tallow';
import { root, run } from '../support/process.js';

const program = `
  const tl = require('./dist');
  try {
    console.log(JSON.stringify(tl.training.rank()));
  } catch (error) {
    console.log(error.name, error.code, error.message);
  }`;
const asked = async (env: NodeJS.ProcessEnv) =>
  (await run(process.execPath, ['-e', program], { cwd: root, env })).output;

test('a process that was started alone is the only rank', (t) => {
  t.deepEqual(tl.training.rank(), { rank: 0, size: 1 });
});

test('one rank needs no MPI, and several are refused by a build without it', async (t) => {
  const one = await asked({ OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '1' });
  t.is(one, '{"rank":0,"size":1}\n');
  const several = await asked({ OMPI_COMM_WORLD_RANK: '2', OMPI_COMM_WORLD_SIZE: '4' });
  t.regex(
    several,
    /^LayerError InvalidOption \[InvalidOption\] this process is one of the 4 ranks .*npm run build -- --features mpi/,
  );
});

test('tasks of Slurm that were not started for MPI are refused', async (t) => {
  const output = await asked({ SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: '8' });
  t.regex(output, /^LayerError InvalidOption \[InvalidOption\] srun started 8 tasks that cannot meet.*srun --mpi=pmix/);
});
