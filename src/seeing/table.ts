/**
 * Tables of text, and numbers as people read them.
 *
 * @module
 */

/** A format of numbers, made when it is first used: making one takes longer than loading the whole package. */
function formatted(options: Intl.NumberFormatOptions): (n: number) => string {
  let made: Intl.NumberFormat | undefined;
  return (n) => (made ??= new Intl.NumberFormat('en', options)).format(n);
}

const short = formatted({ maximumSignificantDigits: 3 });
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** A count: `12,345`. */
export const shownCount = formatted({});

/** A size in memory, of decimal units: `1.2 MB`. */
export function shownBytes(n: number): string {
  const power = n < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(n) / 3));
  return `${short(n / 1000 ** power)} ${UNITS[power]}`;
}

/** A time: `1.25 ms`. */
export const shownMs = (ms: number): string => `${short(ms)} ms`;

/** The first column stands to the left, the others to the right; a line under the head and before the foot. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], foot?: readonly string[]): string {
  const all = [head, ...rows, ...(foot === undefined ? [] : [foot])];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('──');
  const body = [line(head), rule, ...rows.map(line)];
  return (foot === undefined ? body : [...body, rule, line(foot)]).join('\n');
}

/** Whether a layer is shown: parts of Trax's layers that have no name are not. */
export const isNamed = ({ name }: { readonly name: string }): boolean => name !== '';
