/** `npm run fuzz`: see scripts/fuzz.mjs, whose options it is given. */
import { type Found, fuzz, TARGETS } from './fuzz.js';

/** Inputs that a process reads before the next target has its turn. */
const TURN = 500;

/** What is asked for. */
export interface FuzzOptions {
  readonly only: readonly string[];
  readonly seed: number;
  /** Inputs for each target; as many as the time allows if left out. */
  readonly inputs?: number | undefined;
  readonly minutes?: number | undefined;
  readonly out: string;
}

/** Gives the targets their turns until there are enough inputs, or the time is over; resolves to the inputs that showed a fault. */
export async function fuzzAll({
  only,
  seed,
  inputs = Infinity,
  minutes = Infinity,
  out,
}: FuzzOptions): Promise<Found[]> {
  const begun = performance.now();
  const isOver = (): boolean => performance.now() - begun > minutes * 60_000;
  const found: Found[] = [];
  const named = only.length > 0 ? only : TARGETS;
  for (let first = 0; first < inputs && !isOver(); first += TURN) {
    const count = Math.min(TURN, inputs - first);
    for (const target of named) {
      if (isOver()) break;
      // One after another: each has the machine to itself.
      // oxlint-disable-next-line no-await-in-loop
      const part = await fuzz({ target, seed, first, count, out });
      for (const { file, what } of part) console.log(`${file}: ${what}`);
      found.push(...part);
      console.log(`${target}: ${first + count} inputs`);
    }
  }
  return found;
}
