import { readFileSync } from 'node:fs';
import { at, filesIn } from './paths.mjs';

/** Where the types of the package are used, as its users use them. */
const places = ['__test__', 'examples', 'bench'];
/** What gives a wrong value on purpose, and checks what a type leaves open. */
const helpers = '__test__/support/types.ts';

const cast = /\bas (?:never|any|unknown as|(?:readonly )?tl\.Tensor)\b/;

/**
 * The lines that tell the compiler what it does not know: a type of the package that is not true, or a value that nobody checks.
 *
 * @param {string} text
 * @returns {number[]}
 */
export function castsIn(text) {
  return text.split('\n').flatMap((line, i) => (cast.test(line.replace(/\/\/.*|^\s*\*.*/, '')) ? [i + 1] : []));
}

/** Whether tests, examples and benches use the package without casts of its types. */
export const casts = {
  name: 'casts',
  async run() {
    const files = filesIn(places).filter((file) => file.endsWith('.ts') && file !== helpers);
    const found = files.flatMap((file) =>
      castsIn(readFileSync(at(file), 'utf8')).map(
        (line) => `${file}:${line}: use a function of ${helpers}, or mend the type`,
      ),
    );
    return { passed: found.length === 0 ? 1 : 0, failed: found.length === 0 ? 0 : 1, output: found.join('\n') };
  },
};
