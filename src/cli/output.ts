/**
 * What commands write: text for people, JSON for programs.
 *
 * @module
 */
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** How the process ends when its output cannot be written. */
const LOST_CODE = 1;

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

/** What is done when nothing can be written any more; ends the process unless a command has something to finish. */
let whenClosed = (code: number): void => process.exit(code);

/** Lets a command finish what it does when its output is closed, or has no room; the process then ends with a code. */
export function onClosed(finish: (code: number) => void): void {
  whenClosed = finish;
}

/** What keeps an output from being written, in words. */
const LOST: Readonly<Record<string, string>> = {
  ENOSPC: 'there is no room left on its disk',
  EDQUOT: 'the quota of its disk is used up',
  EFBIG: 'it would be larger than a file may be',
};

/** Keeps a closed pipe, as behind `| head`, from being an error, and a full disk from being one of the program. */
export function watchPipes(): void {
  // A message that cannot be told is in nobody's way: the exit code tells it.
  process.stderr.on('error', () => undefined);
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    process.stdout.on('error', () => undefined);
    if (error.code === 'EPIPE') return whenClosed(0);
    const why = LOST[error.code ?? ''] ?? error.message;
    process.stderr.write(`${styled(process.stderr, 'red', 'error:')} the output cannot be written: ${why}\n`);
    process.exitCode = LOST_CODE;
    whenClosed(LOST_CODE);
  });
}

/** Ends the process when all is written. */
export async function end(code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    // One after another: the process ends behind the last.
    // oxlint-disable-next-line no-await-in-loop
    await new Promise<void>((resolve) => {
      if (stream.destroyed) resolve();
      else stream.write('', () => resolve());
    });
  }
  process.exit(code === 0 ? (process.exitCode ?? code) : code);
}
