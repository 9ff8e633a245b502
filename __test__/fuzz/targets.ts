/** What is fuzzed: how an input is made, and what reads it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as tl from '../../src/index.js';
import { dice } from '../support/hostile.js';
import { root } from '../support/process.js';
import { wrong } from '../support/types.js';
import { mutated, mutatedJson, type Roll } from './mutate.js';
import { useTree } from './trees.js';

/** A reader, and what it is given. */
export interface Target {
  /** The end of the names of its inputs. */
  readonly ending: string;
  /** An input, drawn. */
  readonly make: (roll: Roll) => Buffer;
  /** Reads a file that holds an input. What it throws is judged. */
  readonly read: (path: string) => unknown;
}

const inRoot = (...parts: readonly string[]): Buffer => readFileSync(join(root, '__test__', ...parts));
const pick = <T>(of: readonly T[], roll: Roll): T => of[roll(of.length)]!;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A small file as a function writes it. */
function written(folder: string, name: string, write: (path: string) => void): Buffer {
  const path = join(folder, name);
  write(path);
  return readFileSync(path);
}

/** The layer that Trax saved in `__test__/checkpoints/layer.pkl.gz`. */
const layerOfTrax = (): tl.Layer =>
  tl.Serial(tl.Dense(3), tl.BatchNorm({ axis: [0] }), tl.Dropout({ rate: 0.1 }), tl.Dense(2, { useBfloat16: true }));

/** A safetensors file whose header is another, with the length that it has. */
function withHeader(file: Buffer, roll: Roll): Buffer {
  const length = Number(file.readBigUInt64LE());
  const header: unknown = JSON.parse(file.subarray(8, 8 + length).toString());
  const other = json(mutatedJson(header, roll, 12));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(other.length));
  return Buffer.concat([size, other, file.subarray(8 + length)]);
}

const TEXTS = ['Call me Ishmael.', '', ' \u{1f433} naïve\n', 'a'.repeat(300)];

const CONFIGS: readonly unknown[] = [
  ['TransformerLM', 8, { dModel: 4, dFf: 4, nLayers: 1, nHeads: 2, maxLen: 8, dropout: 0.1 }],
  [
    'ReformerLM',
    8,
    { dModel: 4, dFf: 4, nLayers: 1, nHeads: 1, maxLen: 8, axialPosShape: [2, 4], dAxialPosEmbs: [2, 2] },
  ],
  ['Serial', ['Embedding', 8, 4], ['LayerNorm'], ['Dense', 2, { useBias: true }], ['LogSoftmax', { axis: -1 }]],
  ['TransformerEncoder', 8, { nClasses: 2, dModel: 4, dFf: 4, nLayers: 1, nHeads: 2, maxLen: 8, mode: 'eval' }],
];

/** Changed before it is packed, or now and then after. */
const packed = (plain: Buffer, roll: Roll): Buffer =>
  roll(8) === 0 ? mutated(gzipSync(plain, { level: 1 }), roll) : gzipSync(mutated(plain, roll), { level: 1 });

/** The readers by their names. Files that some begin with are written into a folder. */
export function targets(folder: string): Readonly<Record<string, Target>> {
  const norm = tl.Serial(tl.Dense(3), tl.BatchNorm({ axis: [0] }));
  norm.init({ shape: [4, 2], dtype: 'float32' }, { rng: [6, 1] });
  const named = { a: tl.arange(0, 5), b: tl.ones([2, 2]).cast('bfloat16'), empty: tl.zeros([0, 3]) };
  const safetensors = [
    written(folder, 'layer.safetensors', (path) => norm.saveToFile(path)),
    written(folder, 'named.safetensors', (path) => tl.saveSafetensors(named, path)),
  ];
  const npz = [
    written(folder, 'named.npz', (path) => tl.saveNpz(path, { a: named.a, b: tl.ones([2, 2]) })),
    ...['numpy.npz', 'numpy-compressed.npz', 'objects.npz'].map((name) => inRoot('arrays', name)),
  ];
  const npy = [
    gunzipSync(written(folder, 'list.npy.gz', (path) => tl.npToFile([tl.ones([2, 3]), tl.arange(0, 4)], path, 1))),
    gunzipSync(inRoot('checkpoints', 'loop.weights.npy.gz')),
  ];
  const pickles = ['layer.pkl.gz', 'weights_only.pkl.gz'].map((name) => gunzipSync(inRoot('checkpoints', name)));
  const wordpiece: unknown = JSON.parse(inRoot('data', 'fixtures', 'wordpiece.json').toString());
  const fallback: unknown = JSON.parse(inRoot('data', 'fixtures', 'fallback.json').toString());
  return {
    safetensors: {
      ending: 'safetensors',
      make: (roll) => {
        const file = pick(safetensors, roll);
        return roll(2) === 0 ? withHeader(file, roll) : mutated(file, roll);
      },
      read: (path) => {
        tl.loadSafetensors(path);
        return norm.initFromFile(path);
      },
    },
    npz: { ending: 'npz', make: (roll) => mutated(pick(npz, roll), roll), read: (path) => tl.loadNpz(path) },
    npy: {
      ending: 'npy.gz',
      make: (roll) => packed(pick(npy, roll), roll),
      read: (path) => tl.npFromFile(path, 1),
    },
    pickle: {
      ending: 'pkl.gz',
      make: (roll) => packed(pick(pickles, roll), roll),
      read: (path) => layerOfTrax().initFromFile(path),
    },
    tokenizer: {
      ending: 'json',
      make: (roll) => {
        const value = pick([wordpiece, fallback], roll);
        return roll(8) === 0 ? mutated(json(value), roll) : json(mutatedJson(value, roll, 60));
      },
      read: (path) => {
        const encoder = tl.data.loadEncoder(path);
        for (const text of TEXTS) encoder.decode(encoder.encode(text));
      },
    },
    options: {
      ending: 'json',
      make: (roll) => json(mutatedJson(pick(CONFIGS, roll), roll, 8)),
      read: (path) => {
        const model = tl.models.fromConfig(wrong(JSON.parse(readFileSync(path, 'utf8'))));
        model.init({ shape: [1, 4], dtype: 'int32' }, { rng: [0, 1] });
        return model(tl.ones([1, 4]).cast('int32'), { rng: [0, 2] });
      },
    },
    layers: {
      ending: 'json',
      // The number that the layer is drawn from.
      make: (roll) => json(1 + roll(2 ** 31)),
      read: (path) => useTree(dice(Number(readFileSync(path, 'utf8'))), join(folder, 'drawn.safetensors')),
    },
  };
}

/** Writes an input to a file. */
export const put = (path: string, input: Buffer): void => writeFileSync(path, input);
