/**
 * What a server is made of, and how much it takes on.
 *
 * @module
 */
import { found, isList, isRecord } from '../bridge/found.js';
import { type Encoder } from '../data/encoder.js';
import { type Layer } from '../layer/layer.js';
import { type GenerationDefaults, type ModelTask } from '../models/folder/description.js';
import { type OpenedModel } from '../models/folder/folder.js';
import { memoryLimit } from '../tensor/memory.js';
import { type Names, unknownOption } from '../tensor/rest.js';
import { ServeError } from './errors.js';

/** A model that is served. */
export interface ServedModel {
  /** The name that requests call it by. */
  readonly name: string;
  /** The model, with its weights. */
  readonly model: Layer;
  /** Whether it writes (`/v1/completions`, `/v1/chat/completions`) or answers calls (`/predict`); `'generate'` if left out. */
  readonly task?: ModelTask | undefined;
  /** What makes ids of text and text of ids; a model that writes needs one. */
  readonly encoder?: Encoder | null | undefined;
  /** How it writes where a request does not say otherwise. */
  readonly generation?: GenerationDefaults | undefined;
  /** The Jinja template that makes a prompt of the messages of a chat; without one there is no chat. */
  readonly chatTemplate?: string | null | undefined;
}

/** A model, which may be an {@link OpenedModel} of a folder, or what loads it while the server answers already. */
export type ModelSource =
  ServedModel | OpenedModel | (() => ServedModel | OpenedModel | Promise<ServedModel | OpenedModel>);

/**
 * How much a server takes on.
 *
 * What is counted by model is allowed for each model.
 */
export interface ServerLimits {
  /** The most outputs of a model that are written at once, and the most calls of `/predict`; 64 if left out. */
  readonly batch?: number | undefined;
  /** The most requests that wait for a model; 256 if left out. */
  readonly queue?: number | undefined;
  /** The most tokens of a model that are under way at once, prompts and outputs together; 65,536 if left out. */
  readonly tokens?: number | undefined;
  /** The most bytes that a model keeps of what is under way, estimated; half of the memory limit if left out. */
  readonly cacheBytes?: number | undefined;
  /** The most tokens of an output, and how many a chat gets if it does not say; 1,024 if left out. */
  readonly maxTokens?: number | undefined;
  /** The most outputs of a request; 16 if left out. */
  readonly outputs?: number | undefined;
  /** The most bytes of a body; 1 MiB if left out. */
  readonly bodyBytes?: number | undefined;
  /** Milliseconds in which a request must have arrived whole; 30,000 if left out. */
  readonly bodyMs?: number | undefined;
  /** Milliseconds that a request may take, waiting included; 120,000 if left out. */
  readonly requestMs?: number | undefined;
  /** Milliseconds that tokens of a stream may wait to be sent together, but for the first; 0 sends each at once; 25 if left out. */
  readonly flushMs?: number | undefined;
  /** Milliseconds that a reader of a stream may take nothing; 30,000 if left out. */
  readonly stallMs?: number | undefined;
  /** The most tokens of a stream that wait for its reader; 2,048 if left out. */
  readonly unreadTokens?: number | undefined;
  /** Milliseconds that requests under way have to end when the server is closed; 30,000 if left out. */
  readonly drainMs?: number | undefined;
}

/** Options of {@link createServer}. */
export interface ServerOptions {
  /** The models. */
  readonly models: readonly ModelSource[];
  /** The key, or keys, of which a request must bring one as `authorization: Bearer …`; none if left out. */
  readonly apiKey?: string | readonly string[] | undefined;
  /** The origins whose pages may call the server, `true` for all; none if left out. */
  readonly cors?: boolean | string | readonly string[] | undefined;
  /** Whether there is `/metrics`, by the package prom-client; `true` if left out. */
  readonly metrics?: boolean | undefined;
  /** How much it takes on. */
  readonly limits?: ServerLimits | undefined;
  /** Hears of what went wrong in the server, not in a request. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** All limits. */
export type Limits = { readonly [Name in keyof Required<ServerLimits>]: number };

const MIB = 2 ** 20;
const LIMITS: Omit<Limits, 'cacheBytes'> = {
  batch: 64,
  queue: 256,
  tokens: 65_536,
  maxTokens: 1024,
  outputs: 16,
  bodyBytes: MIB,
  bodyMs: 30_000,
  requestMs: 120_000,
  flushMs: 25,
  stallMs: 30_000,
  unreadTokens: 2048,
  drainMs: 30_000,
};
/** Timers of Node take no more. */
const MOST_MS = 2 ** 31 - 1;

const OPTIONS: Names<ServerOptions> = {
  models: true,
  apiKey: true,
  cors: true,
  metrics: true,
  limits: true,
  onError: true,
};
/** A model, with what an opened one tells beside. */
type AnyModel = ServedModel & Partial<Pick<OpenedModel, 'config' | 'inputSignature'>>;
const MODEL: Names<AnyModel> = {
  name: true,
  model: true,
  task: true,
  encoder: true,
  generation: true,
  chatTemplate: true,
  config: true,
  inputSignature: true,
};

const wrong = (message: string): ServeError => new ServeError('InvalidOption', `createServer: ${message}`);

/** Refuses options of which one is unknown, or what is no object of options. */
function checkNames<O extends object>(what: string, given: O | undefined, names: Names<O>): void {
  const refusal = unknownOption(`createServer${what}`, given, names);
  if (refusal !== undefined) throw new ServeError('InvalidOption', refusal);
}

/** The limits, with those that were left out. */
export function limitsOf(given: ServerLimits | undefined): Limits {
  const names = { ...LIMITS, cacheBytes: Math.floor(memoryLimit() / 2) };
  const all: Record<keyof Limits, number> = { ...names };
  const known = Object.fromEntries(Object.keys(names).map((name) => [name, true])) as Names<ServerLimits>;
  checkNames(': limits', given, known);
  for (const name of Object.keys(names) as (keyof Limits)[]) {
    const value: unknown = given?.[name];
    if (value === undefined) continue;
    const most = name.endsWith('Ms') ? MOST_MS : Number.MAX_SAFE_INTEGER;
    const least = name === 'queue' || name === 'flushMs' ? 0 : 1;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most)
      throw wrong(`\`limits.${name}\` must be a whole number from ${least} to ${most}, got ${found(value)}`);
    all[name] = value;
  }
  return all;
}

const isKey = (key: unknown): key is string => typeof key === 'string' && key !== '';

/** The keys that requests may bring. */
export function keysOf(given: ServerOptions['apiKey']): readonly string[] {
  if (given === undefined) return [];
  const keys: readonly unknown[] = isList(given) ? given : [given];
  if (keys.length === 0 || !keys.every(isKey))
    throw wrong('`apiKey` must be a string of at least one character, or a list of them');
  return keys.filter(isKey);
}

/** Checks what a server is made of. */
export function checkOptions(options: ServerOptions): void {
  checkNames('', options, OPTIONS);
  if (!isRecord(options) || !isList(options.models) || options.models.length === 0)
    throw wrong(`\`models\` must be a list of at least one model, got ${found(options?.models)}`);
  const { metrics, onError } = options;
  if (metrics !== undefined && typeof metrics !== 'boolean')
    throw wrong(`\`metrics\` must be true or false, got ${found(metrics)}`);
  if (onError !== undefined && typeof onError !== 'function')
    throw wrong(`\`onError\` must be a function, got ${found(onError)}`);
}

/** Checks a model. */
export function checkModel(model: ServedModel): ServedModel {
  checkNames<AnyModel>(': models', model, MODEL);
  const { name, task, encoder, chatTemplate } = model;
  if (typeof name !== 'string' || name === '')
    throw wrong(`the \`name\` of a model must be a string of at least one character, got ${found(name)}`);
  if (task !== undefined && task !== 'generate' && task !== 'predict')
    throw wrong(`model ${name}: \`task\` must be 'generate' or 'predict', got ${found(task)}`);
  if (task !== 'predict' && (encoder === undefined || encoder === null))
    throw wrong(`model ${name}: a model that writes needs an \`encoder\`; give one, or set \`task\` to 'predict'`);
  if (chatTemplate !== undefined && chatTemplate !== null && typeof chatTemplate !== 'string')
    throw wrong(`model ${name}: \`chatTemplate\` must be a string, got ${found(chatTemplate)}`);
  return model;
}
