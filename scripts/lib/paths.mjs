import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder package.json lies in. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** A path below the root. */
export const at = (...parts) => join(root, ...parts);

/** All files at or below the given paths, sorted, with `/` on every system; what does not exist is left out. */
export function filesIn(paths) {
  const found = [];
  const visit = (path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) {
      for (const name of readdirSync(path)) if (name !== 'node_modules' && name !== 'target') visit(join(path, name));
    } else if (stat) {
      found.push(relative(root, path).split(sep).join('/'));
    }
  };
  for (const path of paths) visit(at(path));
  return found.toSorted();
}

/** One hash over names and contents: modification times change with every checkout, contents do not. */
export function fingerprint(paths, ...extra) {
  const hash = createHash('sha256');
  for (const file of filesIn(paths))
    hash
      .update(`${file}\0`)
      .update(readFileSync(at(file)))
      .update('\0');
  return hash.update(JSON.stringify(extra)).digest('hex');
}

const stampFile = (name) => at('target', 'stamps', name);

/** The fingerprint the last successful build called `name` was made from, or null. */
export function readStamp(name) {
  try {
    return readFileSync(stampFile(name), 'utf8');
  } catch {
    return null;
  }
}

/** Notes that `name` is now built from `value`. */
export function writeStamp(name, value) {
  mkdirSync(dirname(stampFile(name)), { recursive: true });
  writeFileSync(stampFile(name), value);
}

export const readJson = (path) => JSON.parse(readFileSync(at(path), 'utf8'));
