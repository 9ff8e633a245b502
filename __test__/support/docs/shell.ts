/** Whether the commands that pages show are there to be run. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from '../process.js';
import { moduleOf } from './compile.js';

interface Manifest {
  readonly name: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

const helps = new Map<string, Promise<string>>();
/** What a script of package.json says of itself. */
function helpOf(script: string): Promise<string> {
  const file = script === 'start' ? 'examples/moby-dick/main.ts' : manifest.scripts[script]!.split(' ')[1]!;
  const loader = file.endsWith('.ts') ? ['--import=tsx'] : [];
  const help = helps.get(script) ?? run(process.execPath, [...loader, file, '--help']).then(({ output }) => output);
  helps.set(script, help);
  return help;
}

/** A program that a command runs: the arguments of Node in the page's folder. */
export type Runs = readonly string[];

/**
 * Checks a command of a shell block.
 *
 * @param folder - where the files of the page are
 * @returns what is wrong with it; or the program of the page that it runs
 */
export async function checkCommand(command: string, folder: string): Promise<{ wrong?: string; runs?: Runs }> {
  const [program, ...args] = command.trim().split(/\s+/);
  if (program === 'npx' && args[0] === manifest.name)
    return { runs: [join(root, manifest.bin[manifest.name]!), ...args.slice(1)] };
  const file = args[0] === 'tsx' ? args[1] : args[0];
  if (program === 'node' || (program === 'npx' && args[0] === 'tsx')) {
    if (existsSync(join(folder, file!))) return { runs: [moduleOf(file!), ...args.slice(args.indexOf(file!) + 1)] };
    return existsSync(join(root, file!)) ? {} : { wrong: `there is no ${file}` };
  }
  if (program === 'npm' && (args[0] === 'install' || args[0] === 'i')) {
    const odd = args
      .slice(1)
      .find((name) => !name.startsWith('-') && name !== manifest.name && !(name in manifest.devDependencies));
    return odd === undefined ? {} : { wrong: `${odd} is no package known here` };
  }
  if (program === 'npm' && (args[0] === 'init' || args[0] === 'pkg')) return {};
  if (program === 'npm') {
    const script = args[0] === 'run' ? args[1]! : args[0]!;
    if (!(script in manifest.scripts)) return { wrong: `package.json has no script "${script}"` };
    const flags = args.filter((arg) => /^--\w/.test(arg)).map((flag) => flag.split('=')[0]!);
    const help = flags.length === 0 ? '' : await helpOf(script);
    const missing = flags.find((flag) => flag !== '--help' && !help.includes(flag));
    return missing === undefined ? {} : { wrong: `npm run ${script} knows no ${missing}` };
  }
  return { wrong: `no one knows how to check \`${program}\`` };
}
