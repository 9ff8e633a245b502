/**
 * `tallow info`, or `doctor`: what the package runs on, what is wrong with it, and what to do.
 *
 * @module
 */
import { availableParallelism, cpus, totalmem } from 'node:os';
import { type Command } from 'commander';
import { addonPath, AddonError } from '../bridge/addon.js';
import { shownSystem, systemOf } from '../bridge/system.js';
import { version } from '../bridge/version.js';
import { shownBytes } from '../seeing/table.js';
import { command } from './command.js';
import { codeOf, EXIT, shownMessage } from './mistake.js';
import { heading, pairs, print, printJson, styled } from './output.js';

/** What needs the packages that users add themselves; which ones there are says package.json. */
const NEEDED_BY: Readonly<Record<string, string>> = {
  '@fastify/cors': 'tallow serve --cors',
  '@fastify/sse': 'tallow serve',
  '@huggingface/jinja': 'chats of tallow serve',
  '@napi-rs/canvas': 'History.plot of a PNG',
  'csv-parse': 'tl.data.csv',
  fastify: 'tallow serve',
  hyparquet: 'tl.data.parquet',
  'prom-client': '/metrics of tallow serve',
  vega: 'History.plot',
};
/** The oldest Node that the package is tested on: package.json says the same. */
const NODE = [20, 19] as const;

/** What the addon tells of itself and the machine. */
interface Core {
  readonly path: string | undefined;
  readonly version: string;
  readonly features: readonly string[];
  readonly threads: number;
  readonly memoryLimit: number;
  readonly devices: readonly string[];
  readonly missing: readonly string[];
}

async function coreOf(): Promise<Core | AddonError> {
  try {
    const { native } = await import('../bridge/native.js');
    return {
      path: addonPath(),
      version: native.version(),
      features: native.cpuFeatures(),
      threads: native.numThreads(),
      memoryLimit: native.memoryLimit(),
      devices: native.devices().map(({ name }) => name),
      missing: native.missingDevices(),
    };
  } catch (error) {
    if (error instanceof AddonError) return error;
    throw error;
  }
}

/** The kernels of products that such a processor gets. */
function kernelsOf(features: readonly string[]): string {
  const has = (...names: string[]): boolean => names.every((name) => features.includes(name));
  return has('avx512f', 'avx2', 'fma') ? 'AVX-512' : has('avx2', 'fma') ? 'AVX2' : 'portable';
}

/** The names of packages that users may add. */
function optionalNames(): string[] {
  const { peerDependencies }: { peerDependencies: Record<string, string> } = require('tallow/package.json');
  return Object.keys(peerDependencies);
}

/** Whether a package is there, if only for `import`. */
function isInstalled(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch (error) {
    return codeOf(error) !== 'MODULE_NOT_FOUND';
  }
}

/** What is wrong, or slower than it need be, and what to do. */
function problemsOf(core: Core | AddonError): string[] {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const isOld = major < NODE[0] || (major === NODE[0] && minor < NODE[1]);
  const found = [isOld ? `Node ${process.version} is older than ${NODE.join('.')}; install a newer one` : ''];
  if (core instanceof AddonError) return [shownMessage(core), ...found].filter((text) => text !== '');
  if (process.arch === 'x64' && kernelsOf(core.features) === 'portable') {
    found.push('the processor has no AVX2, so products take several times as long; a newer one has it');
  }
  if (process.platform === 'darwin' && process.arch === 'x64' && cpus()[0]?.model.includes('Apple') === true) {
    found.push('this Node is built for Intel and is translated; install the one for arm64');
  }
  const cores = availableParallelism();
  if (core.threads > cores) {
    found.push(`${core.threads} threads share ${cores} processors; tl.setNumThreads(${cores}) is faster`);
  }
  return found.filter((text) => text !== '');
}

async function run({ json }: { readonly json?: boolean }): Promise<void> {
  const core = await coreOf();
  const problems = problemsOf(core);
  const system = systemOf();
  const isLoaded = !(core instanceof AddonError);
  if (!isLoaded) process.exitCode = EXIT.failure;
  const processor = cpus()[0]?.model.trim() ?? 'unknown';
  const names = optionalNames();
  const optional = names.filter(isInstalled);
  if (json === true) {
    const { devices, missing, ...addon } = isLoaded
      ? { ...core, kernels: kernelsOf(core.features) }
      : { devices: [], missing: [], fault: core.code };
    const machine = { processor, processors: availableParallelism(), memory: totalmem() };
    return printJson({ version, system, ...machine, devices, missingDevices: missing, addon, optional, problems }, 2);
  }
  const facts: [string, string][] = [
    ['tallow', version],
    ['system', shownSystem(system)],
    ['processor', `${processor}, ${availableParallelism()} to be used`],
    ['memory', shownBytes(totalmem())],
  ];
  if (isLoaded) {
    facts.push(
      ['addon', `${core.path ?? 'elsewhere'}, version ${core.version}`],
      ['kernels', `${kernelsOf(core.features)} (${core.features.join(' ') || 'no features that they are chosen by'})`],
      ['threads', String(core.threads)],
      ['tensors', `at most ${shownBytes(core.memoryLimit)}`],
      ['devices', core.devices.join(', ')],
      ...core.missing.map((why): [string, string] => ['', why]),
    );
  }
  const packages = names.map((name, i): [string, string] => {
    const use = NEEDED_BY[name] === undefined ? '' : `; ${NEEDED_BY[name]} needs it`;
    return [i === 0 ? 'optional' : '', optional.includes(name) ? `${name} is there` : `${name} is not${use}`];
  });
  print(pairs([...facts, ...packages]));
  print('');
  if (problems.length === 0) return print(styled(process.stdout, 'green', 'Nothing is wrong.'));
  print(heading(problems.length === 1 ? '1 problem:' : `${problems.length} problems:`));
  for (const problem of problems) print(`- ${problem}`);
}

/** Makes the command. */
export function info(): Command {
  return command('info', 'Tells version, system, processor, threads and addon, what is wrong, and what to do.', [
    ['tallow info', 'for people'],
    ['tallow info --json', 'for a report of a fault'],
  ])
    .alias('doctor')
    .action(run);
}
