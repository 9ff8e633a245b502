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
const nearest = (unknown: string, known: readonly string[]): string | undefined =>
  known.find((word) => isNear(word.toLowerCase(), unknown.toLowerCase()));

/** What is added to a message about a name that nobody knows: which of the known ones may be meant. Names of two letters are all alike. */
export function hintAt(unknown: string, known: readonly string[]): string {
  const near = unknown.length > 2 ? nearest(unknown, known) : undefined;
  return near === undefined ? '' : `; did you mean \`${near}\`?`;
}

/** Whether two words differ by a letter, or by two that changed places, or one begins the other. */
function isNear(a: string, b: string): boolean {
  if (a.startsWith(b) || b.startsWith(a)) return true;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [own, other] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (own.length === 2 && other.length === 2) return own[0] === other[1] && own[1] === other[0];
  return own.length <= 1 && other.length <= 1;
}
