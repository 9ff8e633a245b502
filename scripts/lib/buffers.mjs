import { readFileSync } from 'node:fs';
import { at, filesIn } from './paths.mjs';

/** Where the size of a buffer may follow from a shape. */
const places = ['crates/tensor/src', 'crates/layers/src'];
/** The door itself, tests in a file of their own, and helpers of tests. */
const exempt = (file) =>
  file.startsWith('crates/tensor/src/memory/') || file.endsWith('/tests.rs') || file === 'crates/tensor/src/testing.rs';

/** What makes a buffer of any size, and ends the process where there is no memory for it. */
const forbidden = [
  { found: /\bvec!\[[^;]*;(?<size>.*)\]/, instead: 'memory::zeros or memory::full' },
  { found: /\bwith_capacity\((?<size>.*)/, instead: 'memory::room' },
  {
    found: /\.(?:reserve|reserve_exact|resize|resize_with)\((?<size>.*)/,
    instead: 'memory::grow, or a vector made whole',
  },
  { found: /\brepeat_n\((?<size>.*)/, instead: 'memory::full' },
  { found: /\bcollect::<Vec<(?:T|U|A|u8|u32|i32|i64|f32|f64|T::\w+)>>/, instead: 'memory::collect' },
  { found: /\bVec<(?:T|U|A|u32|i32|i64|f32|f64|T::\w+)> = .*\.collect\(\)/, instead: 'memory::collect' },
  {
    found: /\bRaw::(?:zeros|ones|full|arange|rand|randn|eye)\(/,
    instead: 'memory::zeros on the CPU, or memory::admit_tensor before it',
  },
];
/** Sizes of short lists: as many as there are axes, or as a list that is there already; or said to be few, or admitted, on the line. */
const few = /\brank\b|\.len\(\)|\.n_(?:in|out)\b/;
const said = /\/\/ (?:few|within its room|admitted)/;

/**
 * The lines of a Rust file, without its tests, that make buffers beside the door of `crates/tensor/src/memory`.
 *
 * @param {string} text
 * @returns {{ line: number, instead: string }[]}
 */
export function besideTheDoor(text) {
  const lines = text.split(/^#\[cfg\(test\)\]$/m)[0].split('\n');
  return lines.flatMap((line, i) => {
    if (said.test(line)) return [];
    const code = line.replace(/\/\/.*/, '');
    const rule = forbidden.find(({ found }) => found.test(code));
    const size = rule?.found.exec(code)?.groups?.size;
    return rule === undefined || (size !== undefined && few.test(size)) ? [] : [{ line: i + 1, instead: rule.instead }];
  });
}

/** Whether every buffer whose size follows from shapes comes through the door that refuses what memory cannot hold. */
export const buffers = {
  name: 'buffers',
  async run() {
    const files = filesIn(places).filter((file) => file.endsWith('.rs') && !exempt(file));
    const found = files.flatMap((file) =>
      besideTheDoor(readFileSync(at(file), 'utf8')).map(
        ({ line, instead }) => `${file}:${line}: use ${instead}, or say on the line that it is few`,
      ),
    );
    return { passed: found.length === 0 ? 1 : 0, failed: found.length === 0 ? 0 : 1, output: found.join('\n') };
  },
};
