/**
 * Layers as JSON names them.
 *
 * @module
 */
import { refusal } from '../../bridge/errors.js';
import { found, isList, isRecord, shown } from '../../bridge/found.js';
import { hintAt } from '../../bridge/near.js';
import { type Json } from '../../data/cursor.js';
import * as factories from '../../generated/index.js';
import * as models from '../../generated/models.js';
import { Layer } from '../../layer/layer.js';

/**
 * A layer or model in JSON: the name of its factory, or a list of the name and the arguments.
 *
 * A list among the arguments that begins with such a name is a layer of its own; in options such a name stands for the factory.
 */
export type LayerConfig = string | readonly [name: string, ...args: readonly Json[]];

/** How deep a config may nest. */
const DEEPEST = 100;

const isIn = (group: object, name: string): boolean =>
  Object.hasOwn(group, name) && typeof Reflect.get(group, name) === 'function';

/** The factory of a name, of a model or a layer. */
function factoryOf(name: unknown): unknown {
  if (typeof name !== 'string') return undefined;
  const group = [models, factories].find((one) => isIn(one, name));
  return group === undefined ? undefined : Reflect.get(group, name);
}

/** An argument of a factory, with the layers and factories that are named in it. */
function argument(x: unknown, path: string, depth: number): unknown {
  if (depth > DEEPEST) throw refusal('InvalidArgument', `${path}: it nests deeper than ${DEEPEST} levels`);
  if (isList(x)) {
    return factoryOf(x[0]) === undefined
      ? x.map((one, i) => argument(one, `${path}.${i}`, depth + 1))
      : made(x, path, depth + 1);
  }
  if (isRecord(x)) {
    const fields = Object.entries(x).map(([key, value]) => [
      key,
      (key === 'name' ? undefined : factoryOf(value)) ?? argument(value, `${path}.${key}`, depth + 1),
    ]);
    return Object.fromEntries(fields) as unknown;
  }
  const isPlain = x === null || typeof x === 'string' || typeof x === 'boolean' || Number.isFinite(x);
  if (isPlain) return x;
  throw refusal('InvalidArgument', `${path} must be a value that JSON holds, got ${found(x)}`);
}

/** What the factory of a config gives. */
function made(config: unknown, path: string, depth: number): unknown {
  const [name, ...args] = isList(config) ? config : [config];
  if (typeof name !== 'string') {
    const want = 'a name, or a list of a name and its arguments';
    throw refusal('InvalidArgument', `${path} must be ${want}; got ${found(config)}`);
  }
  const factory = factoryOf(name);
  if (typeof factory !== 'function') {
    const names = Object.keys(models).filter((key) => isIn(models, key));
    const hint = hintAt(name, [...names, ...Object.keys(factories)]);
    const known = `there are ${names.toSorted().join(', ')}, and the layers of tl${hint}`;
    throw refusal('InvalidArgument', `${path}: there is no ${shown(name)}; ${known}`);
  }
  // A layer without arguments may be its name alone.
  const given = args.map((x, i) =>
    factoryOf(x) === undefined ? argument(x, `${path}.${i + 1}`, depth) : made(x, `${path}.${i + 1}`, depth + 1),
  );
  return Reflect.apply(factory, undefined, given);
}

/**
 * Makes the layer of a config.
 *
 * @param path - what has the config, for messages
 */
export function layerOf(path: string, config: unknown): Layer {
  const layer = made(config, path, 0);
  if (layer instanceof Layer) return layer;
  throw refusal('InvalidArgument', `${path} must be a layer or a model, got ${found(layer)}`);
}
