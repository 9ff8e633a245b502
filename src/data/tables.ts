/**
 * Files of rows and columns, read by libraries that are installed beside this package.
 *
 * @module
 */
import { createReadStream, type ReadStream } from 'node:fs';
import { isRecord, list, text } from '../bridge/found.js';
import { library } from '../bridge/library.js';
import { type Cursor, END, type Plan, Saved } from './cursor.js';
import { Dataset } from './dataset.js';
import { refused, thrownAt } from './errors.js';
import { stepOptions } from './options.js';

/** Options of {@link csv}. */
export interface CsvOptions {
  /** Whether the first row names the columns; `true` if left out. */
  readonly header?: boolean | undefined;
  /** What stands between two fields; `','` if left out. */
  readonly delimiter?: string | undefined;
}

/** Options of {@link parquet}. */
export interface ParquetOptions {
  /** The columns to read; all of them if left out. */
  readonly columns?: readonly string[] | undefined;
}

/** Says that a library is missing. */
const missing =
  (step: string) =>
  (message: string, cause: unknown): Error =>
    thrownAt(step, undefined, new Error(message, { cause }), 'Io');

/** Rows of a stream: parsed as they are asked for. */
class Rows implements Cursor<unknown> {
  #stream: ReadStream | undefined;
  #rows: AsyncIterator<unknown> | undefined;
  #ended = false;
  #index = 0;

  constructor(
    readonly step: string,
    readonly path: string,
    readonly options: { readonly header: boolean; readonly delimiter: string },
    readonly start: number,
  ) {}

  async #open(): Promise<AsyncIterator<unknown>> {
    const { parse } = await library('csv-parse', 'reads files', () => import('csv-parse'), missing(this.step));
    const { header, delimiter } = this.options;
    const stream = createReadStream(this.path);
    const parser = parse({ bom: true, columns: header, delimiter, skip_empty_lines: true });
    stream.on('error', (error) => parser.destroy(error));
    stream.pipe(parser);
    this.#stream = stream;
    return parser[Symbol.asyncIterator]();
  }
  async #read(): Promise<unknown> {
    if (this.#ended) return END;
    try {
      this.#rows ??= await this.#open();
      const row = await this.#rows.next();
      if (row.done !== true) {
        this.#index += 1;
        return row.value;
      }
    } catch (error) {
      this.#ended = true;
      // The parser is ahead of the rows that were given; its message tells the line.
      throw thrownAt(`${this.step} ${this.path}`, undefined, error, 'Io');
    }
    this.#ended = true;
    return END;
  }
  async next(): Promise<unknown> {
    while (this.#index < this.start) {
      // One after another: they stand in a row.
      // oxlint-disable-next-line no-await-in-loop
      if ((await this.#read()) === END) {
        const message = `${this.path} has ${this.#index} rows, but the state is of row ${this.start}: it is another file`;
        throw refused(this.step, undefined, 'InvalidOption', message);
      }
    }
    return this.#read();
  }
  state(): { readonly step: string; readonly row: number } {
    return { step: this.step, row: Math.max(this.#index, this.start) };
  }
  async close(): Promise<void> {
    this.#ended = true;
    const stream = this.#stream;
    if (stream === undefined || stream.closed) return;
    await new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.destroy();
    });
  }
}

/**
 * Reads the rows of a CSV file, as they are asked for, by the package `csv-parse`.
 *
 * The package is installed beside this one: `npm install csv-parse`. To go on from a state, the rows before it are read once more and passed over.
 *
 * @param path - Path of the file, which is UTF-8.
 * @param options - Options by name:
 * - `header`: Whether the first row names the columns. Default: `true`.
 * - `delimiter`: What stands between two fields. Default: `','`.
 * @returns A dataset of records of strings by column.
 * @throws `TypeError`: `path` is not a string.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
 * @throws {@link DataError} `Io`, while it is read: the file or the package is missing, or a row is none.
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 *
 * writeFileSync('points.csv', 'x,label\n1.5,a\n2.5,b\n');
 * const points = tl.data.csv('points.csv').map((row) => ({ x: Number(row['x']), label: row['label'] }));
 * await points.toArray(); // → [ { x: 1.5, label: 'a' }, { x: 2.5, label: 'b' } ]
 * ```
 */
export function csv(
  path: string,
  options?: CsvOptions & { readonly header?: true | undefined },
): Dataset<Record<string, string>>;
/** Without a header: a dataset of lists of strings. */
export function csv(path: string, options: CsvOptions & { readonly header: false }): Dataset<string[]>;
export function csv(path: string, options: CsvOptions = {}): Dataset<Record<string, string>> | Dataset<string[]> {
  const step = 'csv';
  const file = text('csv: path', path);
  const o = stepOptions<{ header: boolean; delimiter: string }>(step, options);
  const open = async (from: Parameters<Plan<unknown>['open']>[0]): Promise<Rows> =>
    new Rows(step, file, o, from === undefined ? 0 : new Saved(step, from).count('row'));
  const plan = <T>(check: (row: unknown) => T): Plan<T> => ({
    step,
    async open(from) {
      const rows = await open(from);
      return {
        async next() {
          const row = await rows.next();
          return row === END ? END : check(row);
        },
        state: () => rows.state(),
        close: () => rows.close(),
      };
    },
  });
  if (!o.header) return Dataset.of(plan((row) => list('a row', row).map(String)));
  return Dataset.of(
    plan((row) =>
      Object.fromEntries(Object.entries(isRecord(row) ? row : {}).map(([name, field]) => [name, String(field)])),
    ),
  );
}

/**
 * Reads the rows of a Parquet file, a group of rows at a time, by the package `hyparquet`.
 *
 * The package is installed beside this one: `npm install hyparquet`. It reads files that are not compressed, or by Snappy; with the package
 * `hyparquet-compressors` beside it, all others. The state of the dataset is a row, so it goes on from there at once.
 *
 * @param path - Path of the file.
 * @param options - Options by name:
 * - `columns`: The columns to read. Default: all of them.
 * @returns A dataset of records by column.
 * @throws `TypeError`: `path` is not a string.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
 * @throws {@link DataError} `Io`, while it is read: the file or the package is missing, or the file is damaged.
 * @example
 * ```ts
 * const rows = tl.data.parquet('train.parquet', { columns: ['text'] });
 * rows.state(); // → { step: 'Dataset', skip: 0, from: null }
 * ```
 */
export function parquet(path: string, options: ParquetOptions = {}): Dataset<Readonly<Record<string, unknown>>> {
  const step = 'parquet';
  const file = text('parquet: path', path);
  const { columns } = stepOptions<{ columns: string[] | null }>(step, options);
  const plan: Plan<Readonly<Record<string, unknown>>> = {
    step,
    async open(from) {
      let row = from === undefined ? 0 : new Saved(step, from).count('row');
      let rows: readonly Readonly<Record<string, unknown>>[] = [];
      let first = row;
      let group: ((from: number) => Promise<typeof rows | undefined>) | undefined;
      return {
        async next() {
          try {
            if (row - first === rows.length) {
              group ??= await groupsOf(step, file, columns);
              const more = await group(row);
              if (more === undefined) return END;
              rows = more;
              first = row;
            }
          } catch (error) {
            throw thrownAt(`${step} ${file}`, row, error, 'Io');
          }
          return rows[row++ - first]!;
        },
        state: () => ({ step, row }),
        close: async () => {},
      };
    },
  };
  return Dataset.of(plan);
}

/** Reads the rows from one on, up to the end of its group. */
async function groupsOf(step: string, path: string, columns: string[] | null) {
  const hyparquet = await library('hyparquet', 'reads files', () => import('hyparquet'), missing(step));
  const file = await hyparquet.asyncBufferFromFile(path);
  const metadata = await hyparquet.parquetMetadataAsync(file);
  const ends: number[] = [];
  for (const { num_rows: rows } of metadata.row_groups) ends.push((ends.at(-1) ?? 0) + Number(rows));
  const name = 'hyparquet-compressors';
  const more: unknown = await import(name).catch(() => undefined);
  const known = isModule(more) ? { compressors: more.compressors } : {};
  return async (rowStart: number): Promise<Record<string, unknown>[] | undefined> => {
    const rowEnd = ends.find((end) => end > rowStart);
    if (rowEnd === undefined) return undefined;
    const wanted = columns === null ? {} : { columns };
    return hyparquet.parquetReadObjects({ file, metadata, rowStart, rowEnd, ...wanted, ...known });
  };
}

function isModule(x: unknown): x is { readonly compressors: object } {
  return typeof x === 'object' && x !== null && 'compressors' in x && typeof x.compressors === 'object';
}
