import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { npm } from './needs.mjs';
import { at } from './paths.mjs';
import { Refusal, run } from './run.mjs';

/** The versions of Node that the package is held against: the oldest that it allows, and the newest of each line that is kept up. */
export const NODES = ['20.19', '22', '24', '26'];

/** The npm package that holds the program `node` of this system; refuses a system without one. */
function packageOf() {
  const system = { linux: 'linux', darwin: 'darwin', win32: 'win' }[process.platform];
  const isMusl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
  if (system === undefined || isMusl || !['x64', 'arm64'].includes(process.arch)) {
    throw new Refusal(
      `npm has no program of Node for ${process.platform} ${process.arch}${isMusl ? ' with musl' : ''}`,
    );
  }
  return `node-${system}-${process.arch}`;
}

/** The program of a version of Node, out of its npm package, kept in target/nodes. */
export async function fetchNode(version) {
  const name = packageOf();
  const folder = at('target', 'nodes', version);
  const bin = process.platform === 'win32' ? 'bin/node.exe' : 'bin/node';
  const file = `${folder}/node_modules/${name}/${bin}`;
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/package.json`, '{"private":true}');
  const flags = ['--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  const [command, args] = npm('install', `${name}@${version}`, ...flags);
  const { code, output } = await run(command, args);
  if (code !== 0) throw new Refusal(`${name}@${version} cannot be fetched: ${output.trim().split('\n')[0]}`);
  return file;
}
