/**
 * Lines of text files, as they are read.
 *
 * @module
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { text } from '../bridge/found.js';
import { type Cursor, END, type Json, type Plan, Saved, type State } from './cursor.js';
import { Dataset } from './dataset.js';
import { refused, thrownAt } from './errors.js';
import { stepOptions } from './options.js';

/** Options of {@link textFile}. */
export interface TextFileOptions {
  /** How bytes are characters; `'utf8'` if left out. */
  readonly encoding?: 'utf8' | 'latin1' | undefined;
}

/** Bytes read at a time. */
const CHUNK = 64 << 10;
const NEWLINE = 0x0a;
/** The most bytes of a line; a string cannot hold many more. */
const LONGEST = 256 << 20;

/** Refuses what is no regular file: a pipe may never end. */
async function openFile(step: string, path: string): Promise<FileHandle> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error(`cannot read ${path}: it is not a regular file`);
    return await open(path, 'r');
  } catch (error) {
    throw thrownAt(step, undefined, error, 'Io');
  }
}

/** The lines of a file from a byte on. */
class Lines implements Cursor<string> {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #file: FileHandle | undefined;
  /** Lines that are decoded, and which of them is next. */
  #lines: string[] = [];
  #next = 0;
  /** Where the first of these lines begins in the file. */
  #start: number;
  /** Bytes behind these lines, of a line that has not ended yet. */
  #rest: Buffer[] = [];
  /** Where the file ends, once that is known. */
  #end = Infinity;
  #ended = false;

  constructor(
    readonly step: string,
    readonly path: string,
    readonly encoding: 'utf8' | 'latin1',
    start: number,
    /** The number of the next line, counted from 0. */
    public line: number,
  ) {
    this.#start = start;
  }

  /** How many bytes a line has, with its end. */
  #bytes(line: string): number {
    return Buffer.byteLength(line, this.encoding) + 1;
  }
  /** Where the next line begins. */
  #offset(): number {
    const behind = this.#lines.slice(0, this.#next).reduce((sum, line) => sum + this.#bytes(line), this.#start);
    // The last line may have no end of its own.
    return Math.min(behind, this.#end);
  }
  #decode(bytes: Buffer): string {
    if (this.encoding === 'latin1') return bytes.toString('latin1');
    try {
      return this.#decoder.decode(bytes);
    } catch (cause) {
      const message = `${this.path} is not UTF-8 behind line ${this.line + 1}: give encoding: 'latin1', or convert it`;
      throw thrownAt(this.step, this.line, new Error(message, { cause }), 'Io');
    }
  }
  async #fill(file: FileHandle): Promise<void> {
    this.#start = this.#offset();
    this.#lines = [];
    this.#next = 0;
    const waiting = this.#rest.reduce((sum, { length }) => sum + length, 0);
    if (waiting > LONGEST) {
      const message = `line ${this.line + 1} of ${this.path} is longer than ${LONGEST} bytes: is it a text file?`;
      throw refused(this.step, this.line, 'Io', message);
    }
    const chunk = Buffer.allocUnsafe(CHUNK);
    let bytesRead: number;
    try {
      ({ bytesRead } = await file.read(chunk, 0, CHUNK, this.#start + waiting));
    } catch (error) {
      throw thrownAt(this.step, this.line, error, 'Io');
    }
    const bytes = chunk.subarray(0, bytesRead);
    const end = bytes.lastIndexOf(NEWLINE);
    if (bytesRead === 0) {
      this.#ended = true;
      this.#end = this.#start + waiting;
      if (waiting > 0) this.#lines = [this.#decode(Buffer.concat(this.#rest))];
      this.#rest = [];
    } else if (end < 0) {
      this.#rest.push(bytes);
    } else {
      this.#lines = this.#decode(Buffer.concat([...this.#rest, bytes.subarray(0, end)])).split('\n');
      this.#rest = end + 1 < bytesRead ? [bytes.subarray(end + 1)] : [];
    }
  }
  async next(): Promise<string | typeof END> {
    while (this.#next === this.#lines.length) {
      if (this.#ended) {
        await this.close();
        return END;
      }
      // Chunks come one after another.
      // oxlint-disable-next-line no-await-in-loop
      this.#file ??= await this.#open();
      // oxlint-disable-next-line no-await-in-loop
      await this.#fill(this.#file);
    }
    const line = this.#lines[this.#next++]!;
    this.line += 1;
    const from = this.line === 1 && line.startsWith('\uFEFF') ? 1 : 0;
    return line.slice(from, line.endsWith('\r') ? -1 : undefined);
  }
  async #open(): Promise<FileHandle> {
    const file = await openFile(this.step, this.path);
    try {
      const { size } = await file.stat();
      if (size < this.#start) {
        const message = `${this.path} has ${size} bytes, but the state is of byte ${this.#start}: it is another file`;
        throw refused(this.step, undefined, 'InvalidOption', message);
      }
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }
  state(): { readonly step: string; readonly offset: number; readonly line: number } {
    return { step: this.step, offset: this.#offset(), line: this.line };
  }
  async close(): Promise<void> {
    // What was decoded may still be asked for its place.
    this.#ended = true;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/** How to read lines. */
interface LinesPlan extends Plan<string> {
  open(from: State | undefined): Promise<Lines>;
}

function linesOf(step: string, path: string, encoding: 'utf8' | 'latin1'): LinesPlan {
  return {
    step,
    async open(from) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      return new Lines(step, path, encoding, saved?.count('offset') ?? 0, saved?.count('line') ?? 0);
    },
  };
}

/**
 * Reads the lines of a text file, as they are asked for.
 *
 * A line ends at `\n` or `\r\n`, which is not a part of it. The state of the dataset is a byte of the file, so it goes on from there at once.
 *
 * @param path - Path of the file.
 * @param options - Options by name:
 * - `encoding`: How bytes are characters, `'utf8'` or `'latin1'`. Default: `'utf8'`.
 * @returns A dataset of strings.
 * @throws `TypeError`: `path` is not a string.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown or none of its values.
 * @throws {@link DataError} `Io`, while it is read: the file is missing, no regular file, or not of the encoding.
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 *
 * writeFileSync('names.txt', 'emma\nolivia\nava\n');
 * await tl.data.textFile('names.txt').toArray(); // → [ 'emma', 'olivia', 'ava' ]
 * ```
 */
export function textFile(path: string, options: TextFileOptions = {}): Dataset<string> {
  const { encoding } = stepOptions<{ encoding: 'utf8' | 'latin1' }>('textFile', options);
  return Dataset.of(linesOf('textFile', text('textFile: path', path), encoding));
}

/**
 * Reads a file of one JSON value a line, as they are asked for.
 *
 * Empty lines are passed over. The state of the dataset is a byte of the file, so it goes on from there at once.
 *
 * @param path - Path of the file, which is UTF-8.
 * @returns A dataset of the values. TypeScript is not told what they are: a `map` behind it looks.
 * @throws `TypeError`: `path` is not a string.
 * @throws {@link DataError} `Io`, while it is read: the file is missing or no regular file, or a line is not JSON; the error tells its number.
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 *
 * writeFileSync('points.jsonl', '{"x": 1}\n{"x": 2}\n');
 * await tl.data.jsonl('points.jsonl').toArray(); // → [ { x: 1 }, { x: 2 } ]
 * ```
 */
export function jsonl(path: string): Dataset<Json> {
  const step = 'jsonl';
  const file = text('jsonl: path', path);
  const lines = linesOf(step, file, 'utf8');
  const plan: Plan<Json> = {
    step,
    async open(from) {
      const cursor = await lines.open(from);
      return {
        async next() {
          for (;;) {
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            const line = await cursor.next();
            if (line === END) return END;
            if (line.trim() === '') continue;
            try {
              return JSON.parse(line) as Json;
            } catch (error) {
              throw thrownAt(`${step} ${file}, line ${cursor.line}`, undefined, error, 'Io');
            }
          }
        },
        state: () => cursor.state(),
        close: () => cursor.close(),
      };
    },
  };
  return Dataset.of(plan);
}
