import { appendFile, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../../bridge/found.js';
import { makeFolders } from '../../bridge/folders.js';
import { type Loop } from '../loop/loop.js';
import { refusal } from '../refusal.js';

/** What the history has of a step: mode and metric, as `train` and `metrics/loss`, and its value. */
export function measured(loop: Loop, step: number): [mode: string, metric: string, value: number][] {
  const { history } = loop;
  return history.modes.flatMap((mode) =>
    history.metricsForMode(mode).flatMap((metric): [string, string, number][] => {
      const last = history.get(mode, metric).at(-1);
      return last?.step === step ? [[mode, metric, last.value]] : [];
    }),
  );
}

/** The same, by names such as `train/metrics/loss`. */
export const measuredByName = (loop: Loop, step: number): [name: string, value: number][] =>
  measured(loop, step).map(([mode, metric, value]) => [`${mode}/${metric}`, value]);

/** A text file to which whole lines are added. */
export class Rows {
  readonly #what: string;
  readonly #path: string;

  constructor(what: string, path: string) {
    this.#what = what;
    this.#path = path;
  }

  /** Leaves those lines in the file that are whole and that `keep` wants. @returns them */
  async open(keep: (line: string) => boolean): Promise<string[]> {
    return this.#try(async () => {
      await makeFolders(dirname(this.#path));
      const content = await readFile(this.#path, 'utf8').catch((error: unknown) => {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
        throw error;
      });
      // Behind the last line break is what a process was killed in.
      const lines = content.split('\n').slice(0, -1).filter(keep);
      const text = lines.map((line) => `${line}\n`).join('');
      if (text !== content) {
        await writeFile(`${this.#path}.new`, text);
        await rename(`${this.#path}.new`, this.#path);
      }
      return lines;
    });
  }

  /** Adds a line. */
  async add(line: string): Promise<void> {
    await this.#try(() => appendFile(this.#path, `${line}\n`));
  }

  async #try<T>(f: () => Promise<T>): Promise<T> {
    try {
      return await f();
    } catch (error) {
      const why = messageOf(error);
      throw refusal('Io', `${this.#what}: ${this.#path} cannot be written: ${why}`, error);
    }
  }
}
