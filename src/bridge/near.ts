/**
 * Keys that nobody knows, and those that were meant.
 *
 * @module
 */

/** What is wrong with the keys of an object, if one is not known. */
export function unknownKey(given: Readonly<Record<string, unknown>>, known: readonly string[]): string | undefined {
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown === undefined) return undefined;
  const near = nearest(unknown, known);
  const hint = near === undefined ? `it takes ${known.join(', ')}` : `did you mean \`${near}\`?`;
  return `unknown key \`${unknown}\`; ${hint}`;
}

/** The first of the words that is near to one that nobody knows. */
export const nearest = (unknown: string, known: readonly string[]): string | undefined =>
  known.find((word) => isNear(word.toLowerCase(), unknown.toLowerCase()));

/** Whether two words differ by a letter, or by two that changed places, or one begins the other. */
function isNear(a: string, b: string): boolean {
  if (a.startsWith(b) || b.startsWith(a)) return true;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  return Math.max(a.length, b.length) - start - end <= 2 && Math.abs(a.length - b.length) <= 1;
}
