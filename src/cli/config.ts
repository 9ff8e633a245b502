/**
 * The configs of `train`, `eval` and `convert`: modules and JSON.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { found } from '../bridge/found.js';
import { type Layer } from '../layer/layer.js';
import { type Described } from '../models/folder/folder.js';
import { type Signature } from '../tensor/ops.js';
import { type Loop } from '../training/loop/loop.js';
import { layerIn, loopIn } from './jsonConfig.js';
import { checkInput, Mistake, placeIn, record, shownMessage, whole } from './mistake.js';
import { nested, type Settings, withSettings } from './settings.js';

/** What a config gives. */
export interface Configured {
  readonly loop: Loop;
  /** Steps to train for, all runs together, if it says so. */
  readonly steps: number | undefined;
  /** What a folder is to tell of the model, so that it can be opened; a module does not say it. */
  readonly described?: Described;
}

const MODULES = ['.mjs', '.cjs', '.js', '.mts', '.cts', '.ts'];
const METHODS = ['run', 'prepare', 'runEvals', 'saveCheckpoint', 'loadCheckpoint', 'stop', 'close'];

/** Whether it is a loop: of this copy of the package, or of another that the config imported. */
function isLoop(x: unknown): x is Loop {
  return typeof x === 'object' && x !== null && METHODS.every((name) => typeof Reflect.get(x, name) === 'function');
}

/** What a config's own code threw, with the place in the config. */
function thrownBy(path: string, error: unknown): Mistake {
  if (error instanceof Mistake) return error;
  const message = shownMessage(error);
  if (message.startsWith('Unknown file extension')) {
    const how = 'use Node 22.18 or newer, or `node --import tsx node_modules/tallow/dist/cli/tallow.js`';
    return new Mistake(`${path}: Node ${process.version} does not run TypeScript by itself; ${how}`, { cause: error });
  }
  if (/^Cannot find (?:package|module) 'tallow'/.test(message))
    return new Mistake(`${path}: tallow is not installed beside it; run \`npm install tallow\` there`, {
      cause: error,
    });
  const place = placeIn(error, path);
  const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
  return new Mistake(`${path}: ${name}${message}${place === undefined ? '' : ` (${place})`}`, { cause: error });
}

async function ofModule(path: string, settings: Settings): Promise<Configured> {
  let steps: unknown;
  let made: unknown;
  try {
    const module: Readonly<Record<string, unknown>> = await import(pathToFileURL(resolve(path)).href);
    // A CommonJS module is the default of what is imported.
    const exported = record(`${path}: what it exports`, module);
    const whole = exported['default'];
    steps = exported['steps'];
    const isFunction = typeof whole === 'function';
    if (!isFunction && settings.length > 0)
      throw new Mistake(`--set: ${path} exports no function by default, so nothing takes \`${settings[0]![0]}\``);
    made = isFunction ? await Reflect.apply(whole, undefined, [nested(settings)]) : whole;
  } catch (error) {
    throw thrownBy(path, error);
  }
  if (!isLoop(made)) {
    const want = 'a tl.training.Loop, or a function that gives one';
    throw new Mistake(`${path}: the default export must be ${want}; got ${found(made)}`);
  }
  return { loop: made, steps: steps === undefined ? undefined : whole(`${path}: steps`, steps, 1) };
}

/** The object that a JSON file holds. */
function jsonOf(path: string, settings: Settings): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Mistake(`${path} is no JSON: ${shownMessage(error)}`, { cause: error });
  }
  return withSettings(record(path, parsed), settings);
}

function checkKind(path: string): 'json' | 'module' {
  checkInput(path);
  const ending = extname(path);
  if (ending === '.json') return 'json';
  if (MODULES.includes(ending)) return 'module';
  throw new Mistake(`${path} is no config: its name must end in .json, ${MODULES.join(', ')}`);
}

/** The loop of a config. */
export async function loopOf(path: string, settings: Settings): Promise<Configured> {
  return checkKind(path) === 'json' ? loopIn(path, jsonOf(path, settings)) : ofModule(path, settings);
}

/** The model of a config, and what it is made for, if the config tells. */
export async function layerOf(path: string): Promise<{ layer: Layer; signature: Signature | Signature[] | undefined }> {
  if (checkKind(path) === 'json') return layerIn(path, jsonOf(path, []));
  const { loop } = await ofModule(path, []);
  return { layer: loop.model, signature: undefined };
}
