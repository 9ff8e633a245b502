import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { askedBy } from './lib/elf.mjs';
import { builtLibrary, cargoEnv } from './lib/native.mjs';
import { cargo, needCargo, needNode } from './lib/needs.mjs';
import { at, filesIn, root } from './lib/paths.mjs';
import { main, must, Refusal, run, step } from './lib/run.mjs';

const help = `npm run check:cuda -- [options]

Builds the addon with CUDA on a machine that needs neither a GPU nor a driver, says what it needs, and starts it: beside a stand-in for the driver
that knows no device. The nvcc is that of CUDA_HOME, CUDA_PATH or the path; where there is none, NVIDIA's packages for Python are installed into
target/cuda. The first check takes many minutes, nearly all of them for candle's kernels.

  --only-check   compile what has to be compiled, and link and start nothing
  --help         this text`;

/** The parts of CUDA that compile kernels, and the libraries that the addon is linked with. */
const packages = [
  'nvidia-cuda-nvcc==13.5.37',
  'nvidia-cuda-runtime==13.5.37',
  'nvidia-cuda-cccl==13.3.5.0.6',
  'nvidia-cublas==13.10.0.20',
  'nvidia-curand==10.4.5.25',
  'nvidia-cuda-nvrtc==13.5.37',
];
/** The newest CUDA whose functions cudarc knows; it refuses a newer nvcc unless it is told to take it for this one. */
const NEWEST = [13, 2];
/** GPUs from this generation on, Ampere: the oldest with bfloat16. */
const CAPABILITY = '80';
/** What the driver answers where there is no device: CUDA_ERROR_NO_DEVICE. */
const NO_DEVICE = 100;

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

/** Gives the libraries of a folder the names that linkers look for, without the version. */
function unversioned(folder) {
  const files = readdirSync(folder);
  for (const file of files) {
    const name = /^lib\w+\.so(?=\.\d)/.exec(file)?.[0];
    if (name !== undefined && !existsSync(join(folder, name))) symlinkSync(file, join(folder, name));
  }
}

/** Installs the toolkit into a folder of ours. */
async function install() {
  const environment = 'target/cuda';
  const have = installed(environment);
  if (have && existsSync(join(have, 'lib', 'libcublas.so'))) return have;
  if (process.platform !== 'linux') {
    throw new Refusal(
      'NVIDIA has its compiler as Python packages for Linux alone: install CUDA and set CUDA_HOME to its folder',
    );
  }
  const python = await run('python3', ['-m', 'venv', '--help']).catch(() => undefined);
  if (python?.code !== 0) {
    throw new Refusal('There is no nvcc here, and no python3 with venv to install one by: install either of them');
  }
  return step('installing nvcc and the libraries', async () => {
    await must('python3 -m venv', 'python3', ['-m', 'venv', at(environment)]);
    const pip = at(environment, 'bin', 'pip');
    await must('pip install', pip, ['install', '--quiet', '--disable-pip-version-check', ...packages]);
    const folder = installed(environment);
    if (!folder) throw new Refusal(`${packages[0]} brought no nvcc: set CUDA_HOME to the folder of a CUDA`);
    unversioned(join(folder, 'lib'));
    return folder;
  });
}

/** Where a toolkit has its libraries. */
const librariesOf = (home) => ['lib64', 'lib'].map((name) => join(home, name)).filter(existsSync);

/** A folder with a stand-in for the driver's library: each of `functions` answers that there is no device. It is for checks alone. */
async function standIn(name, functions) {
  const folder = at('target', 'cuda-driver', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const source = join(folder, 'driver.c');
  writeFileSync(source, functions.map((f) => `int ${f}(void) { return ${NO_DEVICE}; }\n`).join(''));
  const library = join(folder, 'libcuda.so.1');
  await must('cc', process.env.CC ?? 'cc', ['-shared', '-fPIC', '-Wl,-soname,libcuda.so.1', '-o', library, source]);
  symlinkSync('libcuda.so.1', join(folder, 'libcuda.so'));
  return folder;
}

/** What candle's, cudarc's and our build scripts read, and linkers. */
async function environmentOf(home) {
  const bin = join(home, 'bin');
  const release = await releaseOf(join(bin, 'nvcc'));
  if (!release)
    throw new Refusal(`The nvcc in ${bin} does not run: remove that folder, or set CUDA_HOME to another CUDA`);
  const isNewer = release[0] > NEWEST[0] || (release[0] === NEWEST[0] && release[1] > NEWEST[1]);
  // A library for the system's linker needs no functions in it: which there are is looked up when it is opened.
  const libraries = [...librariesOf(home), await standIn('empty', [])];
  return {
    CUDA_HOME: home,
    CUDA_PATH: home,
    CUDA_ROOT: home,
    CUDA_TOOLKIT_ROOT_DIR: home,
    CUDA_COMPUTE_CAP: process.env.CUDA_COMPUTE_CAP ?? CAPABILITY,
    ...(isNewer && { CUDARC_CUDA_VERSION: `${NEWEST[0]}0${NEWEST[1]}0` }),
    LIBRARY_PATH: [...libraries, process.env.LIBRARY_PATH].filter(Boolean).join(delimiter),
    PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`,
  };
}

/** The libraries that a library names, and the functions of the driver that it calls. */
async function needsOf(library) {
  const { libraries } = await askedBy(library);
  const symbols = await must('nm', 'nm', ['--dynamic', '--undefined-only', library]);
  return { libraries, functions: [...symbols.matchAll(/ U (cu[A-Z]\w*)/g)].map(([, name]) => name) };
}

/** What is asked of the addon when it runs; each line that it prints is true. */
const program = `
const tl = require(process.argv[1]);
const refused = (f) => { try { f(); return 'nothing was refused'; } catch (error) { return error.code + ': ' + error.message; } };
console.log('devices: ' + tl.devices().map((device) => device.name).join(', '));
console.log(refused(() => tl.tensor([1, 2]).to('cuda:0')));
const layer = tl.Dense(2);
layer.init({ shape: [1, 3], dtype: 'float32' });
console.log('the CPU computes: ' + JSON.stringify(layer([[1, 2, 3]]).shape));
`;

/** Starts the package on an addon, with the libraries of some folders. */
const start = (addon, folders) =>
  run(process.execPath, ['--eval', program, root], {
    env: { NAPI_RS_NATIVE_LIBRARY_PATH: addon, LD_LIBRARY_PATH: folders.join(delimiter) },
  });

async function started(addon, home, functions) {
  const beside = await start(addon, [...librariesOf(home), await standIn('no-device', functions)]);
  const wanted = [/^devices: cpu$/m, /^\S*Device\S*: .*"cuda:0" cannot be used: /m, /^the CPU computes: \[1,2\]$/m];
  if (beside.code !== 0 || !wanted.every((words) => words.test(beside.output))) {
    throw new Refusal(`the addon does not start beside a driver without a device:\n${beside.output}`);
  }
  const alone = await start(addon, librariesOf(home));
  if (alone.code === 0) console.log('this machine has a driver of its own');
  else if (!alone.output.includes('libcuda.so.1'))
    throw new Refusal(`without a driver the addon is refused for another reason:\n${alone.output}`);
  return beside.output.trim();
}

await main(async () => {
  const { values } = parseArgs({ options: { 'only-check': { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  await needCargo();
  const home = (await present()) ?? (await install());
  const env = { ...cargoEnv(), ...(await environmentOf(home)) };
  const how = values['only-check'] ? 'check' : 'build';
  await step(`cargo ${how} of the addon with CUDA`, async () => {
    const args = [how, '--release', '--package', 'tallow-node', '--features', 'cuda'];
    const { code } = await run(cargo, args, { live: true, env });
    if (code !== 0) throw new Refusal(`cargo ${how} failed (exit code ${code})`);
  });
  if (values['only-check']) return;
  const addon = at('target', 'cuda-driver', 'tallow.cuda.node');
  copyFileSync(await builtLibrary(), addon);
  const { libraries, functions } = await needsOf(addon);
  console.log(`it needs ${libraries.join(', ')}, and ${functions.length} functions of the driver`);
  // What is started is the package of this checkout on that addon.
  await build();
  console.log(await step('starting it without a device', () => started(addon, home, functions)));
});
