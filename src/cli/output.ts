/**
 * What commands write: text for people, JSON for programs.
 *
 * @module
 */
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Losses and metrics have this before their names in a history. */
export const METRICS = 'metrics/';

/** A text with a style, where the stream is a terminal that shows it; `NO_COLOR` is Node's to know. */
export function styled(stream: NodeJS.WriteStream, style: Style, text: string): string {
  return stream.isTTY && stream.hasColors() ? styleText(style, text) : text;
}

/** Writes a line, or several. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Writes a text, and waits while the reader is slow. */
export async function write(text: string): Promise<void> {
  const { stdout } = process;
  if (stdout.destroyed || stdout.write(text)) return;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      stdout.off('drain', go);
      stdout.off('close', go);
      resolve();
    };
    stdout.on('drain', go);
    stdout.on('close', go);
  });
}

/** Writes a value as JSON: what is not finite as `null`. */
export function printJson(value: unknown, indent?: number): void {
  print(JSON.stringify(value, null, indent));
}

/** The heading of a part. */
export const heading = (text: string): string => styled(process.stdout, 'bold', text);

/** Pairs of names and what belongs to them, in two columns. */
export function pairs(rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd()).join('\n');
}

/** What is done when nobody reads any more; ends the process unless a command has something to finish. */
let whenClosed = (): void => process.exit();

/** Lets a command finish what it does when its output is closed. */
export function onClosed(finish: () => void): void {
  whenClosed = finish;
}

/** Keeps a closed pipe, as behind `| head`, from being an error. */
export function watchPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      whenClosed();
    });
  }
}

/** Ends the process when all is written. */
export async function end(code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    // One after another: the process ends behind the last.
    // oxlint-disable-next-line no-await-in-loop
    await new Promise<void>((resolve) => {
      if (stream.writableLength === 0 || stream.destroyed) resolve();
      else stream.write('', () => resolve());
    });
  }
  process.exit(code);
}
