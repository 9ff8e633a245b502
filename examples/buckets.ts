/**
 * Draws which positions LSH attention lets see each other, as figure 2 of the Reformer paper (https://arxiv.org/abs/2001.04451)
 * does: in the order of the sequence, and sorted by bucket and cut into chunks.
 *
 * `npx tsx examples/buckets.ts` trains the model of `duplication.ts` for about a minute and writes `runs/buckets.svg`; another
 * file can be named behind it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Spec } from 'vega';
import * as tl from 'tallow';
import { batches, makeModel, type Setting, train } from './duplication/task.js';
import { SMALL } from './duplication.js';

/** The bucket of each position, in one head. */
export interface Hashed {
  readonly buckets: readonly number[];
  readonly chunkLen: number;
}

/** How far back stands what a position is to copy: half a sequence, less one, as the model is shown the symbols before. */
const reachOf = (length: number): number => length / 2 - 1;

/**
 * The buckets of the head, over all layers, that brings most positions together with what they are to copy.
 *
 * @param weights - of a trained model
 */
export async function bestHead(setting: Setting, weights: tl.Layer['weights']): Promise<Hashed> {
  const { length, nHeads, chunkLen } = setting;
  const one = { ...setting, batch: 1 };
  const model = makeModel(one, 1).withMode('eval');
  model.init({ shape: [1, length], dtype: 'int32' });
  model.weights = weights;
  const [tokens] = batches(one, tl.random.key(7)).next().value!;
  await model.callAsync(tokens!);
  // The state of LSHSelfAttention is (buckets, keys), and the only int32 in this model: a row for each head.
  const states = tl.tree.leaves(model.state).filter((t) => t.dtype === 'int32');
  const heads = states.flatMap((state) =>
    Array.from({ length: nHeads }, (_, i) => Array.from(state.dataSync().slice(i * length, (i + 1) * length), Number)),
  );
  const together = (buckets: readonly number[]): number =>
    buckets.filter((bucket, i) => bucket === buckets[i - reachOf(length)]).length;
  return { buckets: heads.reduce((a, b) => (together(b) > together(a) ? b : a)), chunkLen };
}

/** What brings two positions together. */
export type Kind = 'copy' | 'bucket' | 'chunk';

/** Pixels of a position. */
const CELL = 3;

/**
 * Which positions (across) each position (down) sees, as SVG paths of strokes: what it is to copy, others of its bucket,
 * and others of its chunk and the one before it.
 *
 * @param sorted - whether positions are in the order of their buckets, or of the sequence
 */
export function seen({ buckets, chunkLen }: Hashed, sorted: boolean): Readonly<Record<Kind, string>> {
  const order = [...buckets.keys()].toSorted((a, b) => buckets[a]! - buckets[b]! || a - b);
  const chunkOf: number[] = [];
  order.forEach((position, place) => (chunkOf[position] = Math.floor(place / chunkLen)));
  const nChunks = Math.ceil(buckets.length / chunkLen);
  const shown = sorted ? order : [...buckets.keys()];
  const paths: Record<Kind, string> = { chunk: '', bucket: '', copy: '' };
  shown.forEach((query, row) => {
    const kinds = shown.map((key): Kind | undefined => {
      // The first chunk sees the last one.
      const behind = (chunkOf[query]! - chunkOf[key]! + nChunks) % nChunks;
      if (key >= query || behind > 1) return;
      if (buckets[query] !== buckets[key]) return 'chunk';
      return key === query - reachOf(buckets.length) ? 'copy' : 'bucket';
    });
    for (let from = 0; from < kinds.length;) {
      const kind = kinds[from];
      let to = from + 1;
      while (kinds[to] === kind && to < kinds.length) to++;
      if (kind !== undefined) paths[kind] += `M${CELL * from},${CELL * (row + 0.5)}H${CELL * to}`;
      from = to;
    }
  });
  return paths;
}

const COLOURS: Readonly<Record<Kind, string>> = { chunk: '#f1e2d3', bucket: '#d99a6c', copy: '#7a1f0d' };
const TEXT = { font: 'Helvetica, Arial, sans-serif', color: '#3d3a36', faint: '#8d877e' };

/** An SVG of both orders side by side. */
export async function draw(hashed: Hashed): Promise<string> {
  const side = CELL * hashed.buckets.length;
  const text = (x: number, y: number, words: string, fill = TEXT.faint, align = 'left'): object => ({
    type: 'text',
    encode: {
      enter: Object.fromEntries(
        Object.entries({ x, y, text: words, fill, align, font: TEXT.font, fontSize: 12 }).map(([k, value]) => [
          k,
          { value },
        ]),
      ),
    },
  });
  const panel = (x: number, sorted: boolean): object => ({
    type: 'group',
    encode: {
      enter: {
        x: { value: x },
        y: { value: 0 },
        width: { value: side },
        height: { value: side },
        stroke: { value: '#d8d1c5' },
      },
    },
    marks: [
      ...Object.entries(seen(hashed, sorted)).map(([kind, path]) => ({
        type: 'path',
        encode: {
          enter: { path: { value: path }, stroke: { value: COLOURS[kind as Kind] }, strokeWidth: { value: CELL } },
        },
      })),
      text(
        0,
        -8,
        sorted
          ? `The same, sorted by bucket and cut into chunks of ${hashed.chunkLen}`
          : 'Which earlier positions (across) each position (down) sees',
        TEXT.color,
      ),
    ],
  });
  const spec = {
    width: 2 * side + 30,
    height: side,
    // Said, as the width of texts is only guessed.
    autosize: 'none',
    padding: { left: 12, right: 12, top: 28, bottom: 34 },
    background: '#fffdf9',
    marks: [
      panel(0, false),
      panel(side + 30, true),
      text(0, side + 18, 'what it is to copy, in its own bucket', COLOURS.copy),
      text(215, side + 18, 'others in its own bucket', COLOURS.bucket),
      text(370, side + 18, 'others in its chunk, or in the one before it', TEXT.faint),
    ],
  } as Spec;
  // An ES module that awaits at its top level: it cannot be required.
  const { parse, View } = await import('vega');
  const view = new View(parse(spec), { renderer: 'none' });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}

async function main(path = join('runs', 'buckets.svg')): Promise<void> {
  const model = await train(SMALL, 4, { seed: 1, callbacks: [new tl.training.Progress()] });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, await draw(await bestHead(SMALL, model.weights)));
  console.log(path);
}

if (require.main === module) void main(process.argv[2]);
