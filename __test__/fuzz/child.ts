/**
 * Reads drawn inputs in a process of its own, which may die of one. Each is written to the file `current.*` before it is read, and its number is told;
 * so is what is wrong with it. Arguments: a target, a seed, the number of the first input, how many, and a folder. With a file as the sixth it reads that
 * one alone.
 */
import { join } from 'node:path';
import * as tl from '../../src/index.js';
import { dice, errorFault } from '../support/hostile.js';
import { put, targets } from './targets.js';

/** What the process may grow to while it reads small files. */
const MOST_BYTES = 1.5e9;

const [name = '', seed = '0', first = '0', count = '0', folder = '', file] = process.argv.slice(2);
const target = targets(folder)[name]!;
const current = file ?? join(folder, `current.${target.ending}`);

/** What is wrong with how the current input was read; nothing where it was read or refused as it should. */
function fault(): string | undefined {
  try {
    target.read(current);
  } catch (error) {
    return errorFault(error, true);
  }
  return undefined;
}

function main(): void {
  // What a file asks for beyond this is refused, as on a small machine.
  tl.setMemoryLimit(2 ** 28);
  for (let i = Number(first); i < Number(first) + Number(count); i += 1) {
    // The numbers of one input follow from the seed and its place alone.
    const roll = dice(1 + ((Math.imul(Number(seed) + 1, 0x9e_37_79_b1) ^ Math.imul(i + 1, 0x85_eb_ca_6b)) >>> 1));
    for (let warm = 0; warm < 8; warm += 1) roll(2);
    if (file === undefined) put(current, target.make(roll));
    process.send?.({ at: i });
    const wrong = tl.tidy(fault);
    const bytes = process.memoryUsage.rss();
    const grown = bytes > MOST_BYTES ? `the process grew to ${Math.round(bytes / 1e6)} MB` : undefined;
    if (wrong !== undefined || grown !== undefined) process.send?.({ fault: wrong ?? grown, at: i });
  }
}

main();
