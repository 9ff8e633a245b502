/**
 * What `model.json` says of a folder, and how it is read and written.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { refusal } from '../../bridge/errors.js';
import { isFolderNow, writeWhole } from '../../bridge/folders.js';
import { found, isList, isRecord, messageOf } from '../../bridge/found.js';
import { unknownKey } from '../../bridge/near.js';
import { type GenerateOptions } from '../../decoding/options.js';
import { type Names } from '../../tensor/rest.js';
import { type Signature } from '../../tensor/ops.js';

/** What a model is used for: it writes tokens, or it gives outputs for inputs. */
export type ModelTask = 'generate' | 'predict';

/** How a model writes where a request does not say otherwise. */
export type GenerationDefaults = Pick<
  GenerateOptions,
  | 'startId'
  | 'eosId'
  | 'stopTokens'
  | 'stop'
  | 'maxTokens'
  | 'window'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'repetitionPenalty'
  | 'presencePenalty'
  | 'frequencyPenalty'
  | 'logitBias'
>;

/** What `model.json` says, checked but for the layer. */
export interface Description {
  readonly name: string;
  readonly task: ModelTask;
  /** The layer, as {@link LayerConfig} has it. */
  readonly model: unknown;
  readonly inputSignature: Signature | readonly Signature[];
  /** Names of files in the folder. */
  readonly weights: string;
  readonly encoder: string | null;
  readonly generation: GenerationDefaults;
  /** The template, or the name of its file. */
  readonly chatTemplate: string | { readonly file: string } | null;
}

/** The name of the file that describes a folder. */
export const DESCRIPTION = 'model.json';
/** The version of the format that is written. */
const VERSION = 1;

const KEYS = [
  'formatVersion',
  'name',
  'task',
  'model',
  'inputSignature',
  'weights',
  'encoder',
  'generation',
  'chatTemplate',
];

const isNumber = (x: unknown): boolean => Number.isFinite(x);
const isNumberOrNull = (x: unknown): boolean => x === null || isNumber(x);
const isListOf = (x: unknown, is: (one: unknown) => boolean): boolean => isList(x) && x.every((one) => is(one));
const isString = (x: unknown): x is string => typeof x === 'string';

type Check = readonly [is: (x: unknown) => boolean, want: string];
const NUMBER: Check = [isNumber, 'a number'];
const NUMBER_OR_NULL: Check = [isNumberOrNull, 'a number or null'];

/** What values of defaults are in JSON; their bounds are those of decoding. */
const GENERATION: { readonly [Name in keyof Names<GenerationDefaults>]: Check } = {
  startId: NUMBER_OR_NULL,
  eosId: NUMBER_OR_NULL,
  stopTokens: [(x) => isListOf(x, isNumber), 'a list of numbers'],
  stop: [(x) => isString(x) || isListOf(x, isString), 'a string or a list of strings'],
  maxTokens: NUMBER,
  window: NUMBER_OR_NULL,
  temperature: NUMBER,
  topK: NUMBER_OR_NULL,
  topP: NUMBER,
  minP: NUMBER,
  repetitionPenalty: NUMBER,
  presencePenalty: NUMBER,
  frequencyPenalty: NUMBER,
  logitBias: [(x) => isRecord(x) && isListOf(Object.values(x), isNumber), 'an object of numbers by ids'],
};

/** The defaults of a model, of which those that are `undefined` are left out. */
export function generationOf(where: string, x: unknown): GenerationDefaults {
  if (!isRecord(x)) throw refusal('InvalidArgument', `${where} must be an object, got ${found(x)}`);
  const unknown = unknownKey(x, Object.keys(GENERATION));
  if (unknown !== undefined) throw refusal('InvalidArgument', `${where}: ${unknown}`);
  const given = Object.entries(x).filter(([, value]) => value !== undefined);
  for (const [key, [is, want]] of Object.entries(GENERATION)) {
    const value = x[key];
    if (value !== undefined && !is(value))
      throw refusal('InvalidArgument', `${where}.${key} must be ${want}, got ${found(value)}`);
  }
  return Object.fromEntries(given) as GenerationDefaults;
}

/** Whether a model writes tokens. */
export function taskOf(where: string, x: unknown): ModelTask {
  if (x === 'generate' || x === 'predict') return x;
  throw refusal('InvalidArgument', `${where} must be 'generate' or 'predict', got ${found(x)}`);
}

/** Whether it is the name of a file in a folder, and leads nowhere else. */
const isFileName = (x: unknown): x is string =>
  isString(x) && x !== '' && x !== '.' && x !== '..' && basename(x) === x && !/[\\\0]/.test(x);

function fileName(where: string, x: unknown): string {
  if (isFileName(x)) return x;
  throw refusal('InvalidArgument', `${where} must be the name of a file in the folder, got ${found(x)}`);
}

/** A template of chats, or the name of its file. */
export function templateOf(where: string, x: unknown): Description['chatTemplate'] {
  if (x === null || isString(x)) return x;
  if (isRecord(x) && unknownKey(x, ['file']) === undefined) return { file: fileName(`${where}.file`, x['file']) };
  throw refusal('InvalidArgument', `${where} must be a template, {"file": name} or null, got ${found(x)}`);
}

const isSignature = (x: unknown): x is Signature =>
  isRecord(x) && isString(x['dtype']) && isListOf(x['shape'], Number.isSafeInteger);

function signatureOf(where: string, x: unknown): Signature | Signature[] {
  if (isSignature(x)) return x;
  if (isList(x) && x.every(isSignature)) return [...x];
  throw refusal('InvalidArgument', `${where} must be {shape, dtype}, or a list of such, got ${found(x)}`);
}

/** What a parsed `model.json` says. */
function checkedDescription(path: string, folder: string, json: unknown): Description {
  if (!isRecord(json)) throw refusal('InvalidArgument', `${path} must hold an object, got ${found(json)}`);
  const version = json['formatVersion'];
  if (!Number.isSafeInteger(version) || Number(version) < 1)
    throw refusal('InvalidArgument', `${path}: formatVersion must be a whole number from 1, got ${found(version)}`);
  if (Number(version) > VERSION) {
    const how = `this version of tallow reads ${VERSION}; install a newer one`;
    throw refusal('InvalidArgument', `${path} is of format version ${String(version)}, and ${how}`);
  }
  const unknown = unknownKey(json, KEYS);
  if (unknown !== undefined) throw refusal('InvalidArgument', `${path}: ${unknown}`);
  const { name, encoder } = json;
  const missing = ['task', 'model', 'inputSignature', 'weights'].find((key) => json[key] === undefined);
  if (missing !== undefined) throw refusal('InvalidArgument', `${path}: \`${missing}\` is missing`);
  if (name !== undefined && (!isString(name) || name === ''))
    throw refusal('InvalidArgument', `${path}: name must be a text, got ${found(name)}`);
  return {
    name: name ?? basename(resolve(folder)),
    task: taskOf(`${path}: task`, json['task']),
    model: json['model'],
    inputSignature: signatureOf(`${path}: inputSignature`, json['inputSignature']),
    weights: fileName(`${path}: weights`, json['weights']),
    encoder: encoder === undefined || encoder === null ? null : fileName(`${path}: encoder`, encoder),
    generation: generationOf(`${path}: generation`, json['generation'] ?? {}),
    chatTemplate: templateOf(`${path}: chatTemplate`, json['chatTemplate'] ?? null),
  };
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

/**
 * Reads what a folder holds; the weights stay where they are.
 *
 * At once, as the file is small: the first work of a process on Node's other threads waits for them to start.
 */
export function readDescription(what: string, folder: string): Description {
  const path = join(folder, DESCRIPTION);
  let json: string;
  try {
    json = readFileSync(path, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    const how = 'tl.models.saveFolder makes one, and so does `tallow train` with a JSON config';
    if (isFolderNow(folder)) {
      if (code !== 'ENOENT') throw refusal('Io', `${what}: ${path} cannot be read: ${String(code)}`, error);
      throw refusal('Io', `${what}: ${folder} has no ${DESCRIPTION}, so it is no folder of a model; ${how}`, error);
    }
    if (code === 'ENOTDIR') throw refusal('Io', `${what}: ${folder} is no folder; name the folder of a model`, error);
    throw refusal('Io', `${what}: there is no folder ${folder}; ${how}`, error);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    const why = messageOf(error);
    throw refusal('Io', `${what}: ${path} is no JSON: ${why}`, error);
  }
  return checkedDescription(path, folder, parsed);
}

/** The text of a template that is given, or in a file of the folder. */
export function templateIn(what: string, folder: string, template: Description['chatTemplate']): string | null {
  if (template === null || isString(template)) return template;
  const path = join(folder, template.file);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw refusal('Io', `${what}: the chat template ${path} cannot be read: ${String(codeOf(error))}`, error);
  }
}

/** Writes what a folder holds, when its other files are there. Without a name it is called as the folder. */
export async function writeDescription(
  folder: string,
  { name, ...rest }: Omit<Description, 'name'> & { readonly name: string | undefined },
): Promise<void> {
  const json = JSON.stringify({ formatVersion: VERSION, name, ...rest }, null, 2);
  await writeWhole(join(folder, DESCRIPTION), `${json}\n`);
}
