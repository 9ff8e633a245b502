import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cargo, needCargo, needNode } from './lib/needs.mjs';
import { at, filesIn } from './lib/paths.mjs';
import { main, must, Refusal, run, step } from './lib/run.mjs';

const help = `npm run check:cuda -- [options]

Checks that the addon compiles with CUDA: the kernels by nvcc, all Rust by cargo check. It links nothing and runs nothing, so it needs neither a
GPU nor a driver. The nvcc is that of CUDA_HOME, CUDA_PATH or the path; where there is none, NVIDIA's packages for Python are installed
into target/cuda. The first check takes minutes, nearly all of it for candle's kernels.

  --help     this text`;

/** The parts of CUDA that compile kernels, and nothing that runs them. */
const packages = ['nvidia-cuda-nvcc==13.5.37', 'nvidia-cuda-runtime==13.5.37', 'nvidia-cuda-cccl==13.3.5.0.6'];
/** The newest CUDA whose functions cudarc knows; it refuses a newer nvcc unless it is told to take it for this one. */
const NEWEST = [13, 2];
/** GPUs from this generation on, Ampere: the oldest with bfloat16. */
const CAPABILITY = '80';

/** The release of an nvcc as [major, minor]; nothing where it cannot be run. */
async function releaseOf(nvcc) {
  const told = await run(nvcc, ['--version']).catch(() => undefined);
  return /release (\d+)\.(\d+)/
    .exec(told?.output ?? '')
    ?.slice(1)
    .map(Number);
}

/** The toolkit of this machine: its folder, or nothing. */
async function present() {
  const named = [process.env.CUDA_HOME, process.env.CUDA_PATH].filter(Boolean);
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, '..'));
  for (const folder of [...named, ...onPath]) {
    if (!existsSync(join(folder, 'include', 'cuda.h'))) continue;
    if (await releaseOf(join(folder, 'bin', 'nvcc'))) return folder;
  }
  return undefined;
}

/** The folder that NVIDIA's packages for Python share below a virtual environment. */
function installed(environment) {
  const found = filesIn([environment]).find((file) => /\/nvidia\/cu\d+\/bin\/nvcc$/.test(file));
  return found && at(found, '..', '..');
}

/** Installs the toolkit into a folder of ours. */
async function install() {
  const environment = 'target/cuda';
  const have = installed(environment);
  if (have) return have;
  if (process.platform !== 'linux') {
    throw new Refusal(
      'NVIDIA has its compiler as Python packages for Linux alone: install CUDA and set CUDA_HOME to its folder',
    );
  }
  const python = await run('python3', ['-m', 'venv', '--help']).catch(() => undefined);
  if (python?.code !== 0) {
    throw new Refusal('There is no nvcc here, and no python3 with venv to install one by: install either of them');
  }
  return step('installing nvcc', async () => {
    await must('python3 -m venv', 'python3', ['-m', 'venv', at(environment)]);
    const pip = at(environment, 'bin', 'pip');
    await must('pip install', pip, ['install', '--quiet', '--disable-pip-version-check', ...packages]);
    const folder = installed(environment);
    if (!folder) throw new Refusal(`${packages[0]} brought no nvcc: set CUDA_HOME to the folder of a CUDA`);
    return folder;
  });
}

/** What candle's and cudarc's build scripts read. */
async function environmentOf(home) {
  const bin = join(home, 'bin');
  const release = await releaseOf(join(bin, 'nvcc'));
  if (!release)
    throw new Refusal(`The nvcc in ${bin} does not run: remove that folder, or set CUDA_HOME to another CUDA`);
  const isNewer = release[0] > NEWEST[0] || (release[0] === NEWEST[0] && release[1] > NEWEST[1]);
  return {
    CUDA_HOME: home,
    CUDA_PATH: home,
    CUDA_ROOT: home,
    CUDA_TOOLKIT_ROOT_DIR: home,
    CUDA_COMPUTE_CAP: process.env.CUDA_COMPUTE_CAP ?? CAPABILITY,
    ...(isNewer && { CUDARC_CUDA_VERSION: `${NEWEST[0]}0${NEWEST[1]}0` }),
    PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`,
  };
}

await main(async () => {
  const { values } = parseArgs({ options: { help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  await needCargo();
  const env = await environmentOf((await present()) ?? (await install()));
  await step('checking the addon with CUDA', async () => {
    const args = ['check', '--release', '--package', 'tallow-node', '--features', 'cuda'];
    const { code } = await run(cargo, args, { live: true, env });
    if (code !== 0) throw new Refusal(`cargo check failed (exit code ${code})`);
  });
});
