/**
 * What `--set` changes in a config.
 *
 * @module
 */
import { InvalidArgumentError } from 'commander';
import { isList, isRecord } from '../bridge/found.js';
import { Mistake } from './mistake.js';

/** Paths of keys, and the values to put there. */
export type Settings = readonly (readonly [path: string, value: unknown])[];

/** What help says of it. */
export const SET = [
  '--set <key=value>',
  'change the config: `--set optimizer.1.learningRate=0.01`; may be repeated',
] as const;

/** Adds one `key=value`: the value as JSON, or else as text. */
export function setting(text: string, before: Settings = []): Settings {
  const [, path, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (path === undefined || value === undefined) throw new InvalidArgumentError('It must be key=value.');
  try {
    return [...before, [path, JSON.parse(value)]];
  } catch {
    return [...before, [path, value]];
  }
}

/** A value with another at the end of a path of keys in it. */
function put(x: unknown, keys: readonly string[], value: unknown, path: string): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  if (isList(x)) {
    if (!/^\d+$/.test(key) || Number(key) >= x.length)
      throw new Mistake(`--set ${path}: there is no place ${key} in a list of ${x.length}`);
    return x.with(Number(key), put(x[Number(key)], rest, value, path));
  }
  if (x !== undefined && !isRecord(x))
    throw new Mistake(`--set ${path}: there is no \`${key}\` in ${JSON.stringify(x)}`);
  return { ...x, [key]: put(x !== undefined && Object.hasOwn(x, key) ? x[key] : undefined, rest, value, path) };
}

/** A config with settings put into it. */
export function withSettings(
  config: Readonly<Record<string, unknown>>,
  settings: Settings,
): Readonly<Record<string, unknown>> {
  let changed: unknown = config;
  for (const [path, value] of settings) changed = put(changed, path.split('.'), value, path);
  return isRecord(changed) ? changed : config;
}

/** The settings as an object. */
export const nested = (settings: Settings): Readonly<Record<string, unknown>> => withSettings({}, settings);
