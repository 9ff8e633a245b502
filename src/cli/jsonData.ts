/**
 * The data of configs in JSON: a text, or arrays of a file.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { found, isList } from '../bridge/found.js';
import { type Encoder } from '../data/encoder.js';
import { type Signature } from '../tensor/ops.js';
import { type LabeledData } from '../training/loop/batches.js';
import { checkInput, checkKeys, Mistake, record, shownMessage, whole } from './mistake.js';

/** Batches, and what they are. */
export interface Data {
  readonly batches: LabeledData;
  /** Whole batches in the data. */
  readonly count: number;
  /** The signatures of what is in a batch. */
  readonly signatures: readonly Signature[];
  /** The encoder of a text. */
  readonly encoder: Encoder | null;
}

type Config = Readonly<Record<string, unknown>>;

/** The path of a file of a config, which is below the config's folder. */
function file(where: string, folder: string, given: unknown): string {
  if (typeof given !== 'string') throw new Mistake(`${where} must be a path, got ${found(given)}`);
  const path = resolve(folder, given);
  checkInput(path);
  return path;
}

async function encoderOf(where: string, folder: string, given: unknown): Promise<Encoder> {
  const { byteEncoder, loadEncoder } = await import('../data/index.js');
  if (given === 'bytes') return byteEncoder();
  if (typeof given !== 'string')
    throw new Mistake(`${where} must be "bytes", or the path of an encoder's file, got ${found(given)}`);
  return loadEncoder(file(where, folder, given));
}

function checkCount(where: string, count: number, batch: number, what: string): void {
  if (count >= batch) return;
  throw new Mistake(`${where}: there are ${count} ${what}, fewer than the ${batch} of a batch`);
}

/** Sequences of a text, each its own target, as language models take them. */
async function ofText(where: string, folder: string, config: Config, seed: number | null): Promise<Data> {
  checkKeys(where, config, ['text', 'length', 'batch', 'encoder']);
  const length = whole(`${where}.length`, config['length'], 1);
  const batch = whole(`${where}.batch`, config['batch'], 1);
  const text = readFileSync(file(`${where}.text`, folder, config['text']), 'utf8');
  const encoder = await encoderOf(`${where}.encoder`, folder, config['encoder']);
  const ids = encoder.encode(text);
  const count = Math.floor(ids.length / length);
  checkCount(where, count, batch, `sequences of ${length} in the text`);
  const rows = Array.from({ length: count }, (_, i) => ids.subarray(i * length, (i + 1) * length));
  const { fromArray } = await import('../data/index.js');
  const { key } = await import('../tensor/random.js');
  const all = fromArray(rows);
  const some = seed === null ? all : all.shuffle({ rng: key(seed), bufferSize: count });
  const batches = some
    .repeat()
    .batch(batch, { dropRemainder: true })
    .map((tokens) => [tokens, tokens.reshape(tokens.shape)]);
  const signature: Signature = { shape: [batch, length], dtype: 'int32' };
  return { batches, count: Math.floor(count / batch), signatures: [signature, signature], encoder };
}

/** Rows of arrays side by side. */
async function ofArrays(where: string, folder: string, config: Config, seed: number | null): Promise<Data> {
  checkKeys(where, config, ['arrays', 'names', 'batch']);
  const batch = whole(`${where}.batch`, config['batch'], 1);
  const path = file(`${where}.arrays`, folder, config['arrays']);
  const names = config['names'];
  if (!isList(names) || names.length === 0)
    throw new Mistake(`${where}.names must be a list of names of arrays, inputs first, got ${found(names)}`);
  const { loadNpz, loadSafetensors } = await import('../index.js');
  const arrays = path.endsWith('.npz') ? loadNpz(path) : loadSafetensors(path);
  const tensors = names.map((name) => {
    const tensor = typeof name === 'string' && Object.hasOwn(arrays, name) ? arrays[name] : undefined;
    if (tensor !== undefined && tensor.shape.length > 0) return tensor;
    const has = Object.keys(arrays).slice(0, 20).join(', ');
    throw new Mistake(`${where}.names: ${path} has no array ${found(name)} of rows; it has ${has}`);
  });
  const count = tensors[0]!.shape[0]!;
  checkCount(where, count, batch, 'rows in the arrays');
  const { fromTensors } = await import('../data/index.js');
  const { key } = await import('../tensor/random.js');
  const all = fromTensors(tensors);
  const some = seed === null ? all : all.shuffle({ rng: key(seed), bufferSize: count });
  const signatures = tensors.map(({ shape, dtype }) => ({ shape: [batch, ...shape.slice(1)], dtype }));
  const batches = some.repeat().batch(batch, { dropRemainder: true });
  return { batches, count: Math.floor(count / batch), signatures, encoder: null };
}

/** The batches of a config: in random order by a seed, or in that of the file. */
export async function dataOf(where: string, folder: string, given: unknown, seed: number | null): Promise<Data> {
  const config = record(where, given);
  const kinds = { text: ofText, arrays: ofArrays };
  const kind = Object.hasOwn(config, 'text') ? 'text' : 'arrays';
  if (config[kind] === undefined)
    throw new Mistake(
      `${where} must have \`text\`, the path of a text, or \`arrays\`, that of an .npz or safetensors file`,
    );
  try {
    return await kinds[kind](where, folder, config, seed);
  } catch (error) {
    throw error instanceof Mistake ? error : new Mistake(`${where}: ${shownMessage(error)}`, { cause: error });
  }
}
