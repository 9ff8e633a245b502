/**
 * Options of the checks of models.
 *
 * @module
 */
import { flag, found, isList } from './bridge/found.js';
import { namedOptions } from './tensor/rest.js';

/** Options with those that are left out filled in. Refuses what a check does not have. */
export function filledIn<T extends object>(check: string, defaults: T, options: Partial<T>): T {
  const given = Object.entries(namedOptions(check, options) ?? {}).filter(([, value]) => value !== undefined);
  const unknown = given.find(([name]) => !Object.hasOwn(defaults, name))?.[0];
  if (unknown !== undefined) {
    const names = Object.keys(defaults).map((name) => `\`${name}\``);
    throw new TypeError(`${check}: unknown option \`${unknown}\`: it takes ${names.join(', ')}`);
  }
  const all = { ...defaults, ...Object.fromEntries(given) };
  for (const [name, value] of given) checkKind(`${check}: \`${name}\``, Reflect.get(defaults, name), value);
  return all;
}

const isPlain = (x: unknown): boolean => x === null || ['number', 'string', 'boolean'].includes(typeof x);

/** Refuses what is of another kind than the default, where a check uses it itself; the rest is checked by the layers it goes to. */
function checkKind(what: string, usual: unknown, value: unknown): void {
  if (typeof usual === 'boolean') {
    if (value !== null) flag(what, value);
  } else if (typeof usual === 'number' || typeof usual === 'string') {
    // Some may also be lists. What numbers and strings are possible is checked where they are used.
    if (!isPlain(value) && !(isList(value) && Array.from(value).every(isPlain))) {
      throw new TypeError(`${what} must be a ${typeof usual}, got ${found(value)}`);
    }
  }
}

/** A value as the messages of layers show it, if JSON has it. */
export function shown(x: unknown): string {
  try {
    const json: string | undefined = JSON.stringify(x);
    return json === undefined || json.length > 80 ? found(x) : json;
  } catch {
    return found(x);
  }
}
