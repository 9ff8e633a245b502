/**
 * Layers in the fields of an object of a class, which are its sublayers.
 *
 * @module
 */
import { isList, isRecord } from '../bridge/found.js';

/** A layer in a field, and where it stands, as `blocks[0]`. */
export interface Field<L> {
  /** Where it stands. */
  readonly path: string;
  /** The layer. */
  readonly layer: L;
}

/** How deep arrays, maps and plain objects of layers may nest. */
const DEEPEST = 20;

/** Whether an array holds data: it begins with a number, a string or a boolean. There may be very many. */
const isData = ([first]: readonly unknown[]): boolean =>
  ['number', 'bigint', 'string', 'boolean'].includes(typeof first);

/** What stands in a value: its items, under the words that lead to them. */
function itemsOf(value: unknown): [step: string, item: unknown][] {
  if (isList(value)) return isData(value) ? [] : Array.from(value, (item, i) => [`[${i}]`, item]);
  if (value instanceof Map)
    return [...(value as Map<unknown, unknown>)].map(([key, item]) => [`.get(${String(key)})`, item]);
  return isRecord(value) ? Object.entries(value).map(([key, item]) => [`.${key}`, item]) : [];
}

/** From so many items on, what stands in a field and is no layer is not looked through again. */
const MANY = 100;

/**
 * The layers in the fields of an object, and in arrays, maps and plain objects there, in the order in which the fields were set. Fields that
 * have a getter or are private are no part of this.
 *
 * @param data - fields with many items and without layers: what it names is passed over while it is the same value, and it is added to
 */
export function fieldsOf<L>(object: object, isLayer: (x: unknown) => x is L, data?: Map<string, unknown>): Field<L>[] {
  const found: Field<L>[] = [];
  const open = new Set<unknown>();
  let items = 0;
  const walk = (path: string, value: unknown): void => {
    items += 1;
    if (isLayer(value)) {
      found.push({ path, layer: value });
    } else if (typeof value === 'object' && value !== null && !open.has(value) && open.size < DEEPEST) {
      open.add(value);
      itemsOf(value).forEach(([step, item]) => walk(path + step, item));
      open.delete(value);
    }
  };
  for (const key of Object.keys(object)) {
    const field = Object.getOwnPropertyDescriptor(object, key);
    if (field === undefined || !('value' in field)) continue;
    const value: unknown = field.value;
    if (data?.get(key) === value && typeof value === 'object') continue;
    const [before, layers] = [items, found.length];
    walk(key, value);
    if (items - before > MANY && found.length === layers) data?.set(key, value);
  }
  return found;
}

/** The first place where two lists of fields differ. */
export function difference<L>(before: readonly Field<L>[], now: readonly Field<L>[]): string | undefined {
  const key = ({ path }: Field<L>): string => path;
  const at = now.findIndex((field, i) => field.layer !== before[i]?.layer || field.path !== before[i]?.path);
  if (at >= 0) return key(now[at]!);
  return now.length < before.length ? key(before[now.length]!) : undefined;
}
