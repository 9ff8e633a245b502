/**
 * Runs compiled programs one after another, and writes what did not come as shown to standard error as a line of JSON each.
 *
 * Arguments: the modules, by path.
 */
import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { format, inspect } from 'node:util';
import { isShown } from './compare.mjs';

const tell = (fact) => writeSync(2, `${JSON.stringify(fact)}\n`);
const written = (value) => inspect(value, { depth: 8, breakLength: Infinity });
let module = '';
let logged = [];
let block = [];

const compare = (line, shown, came) => {
  if (!isShown(shown, came)) tell({ module, line, shown, came });
};
for (const method of ['log', 'error', 'warn', 'info']) {
  console[method] = (...values) => {
    logged.push(format(...values));
    block.push(logged.at(-1));
  };
}
globalThis.__docs = {
  /** What the last statement logged. */
  logged: (line, shown) => compare(line, shown, logged.at(-1) ?? ''),
  // A string may be shown with its quotes or without.
  value(line, shown, ...values) {
    if (values[0] !== shown) compare(line, shown, values.map(written).join(', '));
  },
  begins() {
    block = [];
  },
  printed: (line, shown) => compare(line, shown, block.join('\n')),
  async throws(line, shown, f) {
    try {
      await f();
    } catch (error) {
      compare(line, shown, `${error.name}: ${error.message}`);
      return;
    }
    tell({ module, line, shown, came: 'nothing was thrown' });
  },
};

for (const path of process.argv.slice(2)) {
  [module, logged, block] = [path, [], []];
  try {
    await import(pathToFileURL(path).href);
  } catch (error) {
    const line = Number(/\.ts:(\d+):/.exec(error.stack)?.[1] ?? 0);
    tell({ module, line, came: error.stack });
  }
  tell({ module, done: true });
}
