import { mkdtempSync, mkdirSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cargoEnv } from './native.mjs';
import { cargo } from './needs.mjs';
import { at } from './paths.mjs';
import { run } from './run.mjs';

const ARGUMENTS = ['run', '--release', '--quiet', '--package', 'tallow-xtask', '--', 'codegen'];
/** All that is in it is generated. */
const FOLDER = 'src/generated';

/** The files below a folder, by their paths in it. */
const below = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll('\\', '/'),
    );

const differs = ({ path, text }) => !existsSync(at(path)) || readFileSync(at(path), 'utf8') !== text;

/** Sources in the form that Prettier gives all others; pages as they are. */
async function formatted(path, text) {
  if (!path.endsWith('.ts')) return text;
  // Not at the top: scripts start before the packages are installed.
  const prettier = await import('prettier');
  const options = await prettier.resolveConfig(at(path));
  return prettier.format(text, { ...options, filepath: path });
}

/**
 * What is derived from the layer registry and differs from what is there: files to write (`text`), and those that nothing
 * generates any more (`text` is null). What the generator refuses is in `refused`.
 */
export async function stale() {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-codegen-'));
  try {
    const { code, output } = await run(cargo, [...ARGUMENTS, folder], { env: cargoEnv() });
    if (code !== 0) return { refused: output, files: [] };
    const paths = below(folder);
    const texts = await Promise.all(paths.map((path) => formatted(path, readFileSync(join(folder, path), 'utf8'))));
    const made = paths.map((path, i) => ({ path, text: texts[i] }));
    const left = below(at(FOLDER))
      .map((file) => `${FOLDER}/${file}`)
      .filter((path) => !paths.includes(path))
      .map((path) => ({ path, text: null }));
    return { refused: '', files: [...made.filter(differs), ...left] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes such a file, or removes it. */
export function write({ path, text }) {
  if (text === null) return rmSync(at(path));
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
}
