/** The models to choose from: from tokens to the logits of each token given those before it. */
import * as tl from 'tallow';
import { type Options } from './options.js';

/** The most columns of a grid. */
const COLUMNS = 32;

/**
 * Rows and columns of a grid of `length` places. Columns are few: what stands just before is one column to the left, which is
 * learnt for each column on its own.
 */
export function grid(length: number): [number, number] {
  let columns = Math.min(COLUMNS, length);
  while (length % columns !== 0) columns--;
  return [length / columns, columns];
}

/** Positions in a chunk of a layer that sees near ones only. */
const NEAR = 16;

/** Attention to the positions just before. */
const near = (options: tl.models.AttentionOptions): tl.Layer =>
  tl.SelfAttention({ ...options, chunkLen: NEAR, nChunksBefore: 1 });

/** A Transformer: every position sees all before it. */
function transformer(vocabSize: number, { dModel, layers, heads, length }: Options): tl.Layer<tl.Tensor, 1> {
  return tl.models.TransformerLM(vocabSize, {
    dModel,
    dFf: 4 * dModel,
    nLayers: layers,
    nHeads: heads,
    maxLen: length,
    dropout: 0,
  });
}

/**
 * A Reformer: in one layer a position sees the few characters before it, in the next those of the whole text that hash alike.
 * Blocks are reversible, so memory does not grow with their number.
 */
function reformer(
  vocabSize: number,
  { dModel, layers, heads, length, chunk, hashes }: Options,
): tl.Layer<tl.Tensor, 1> {
  // Said, as predict mode would take two: it sees one position at a time, and there the number follows from the length.
  const nBuckets = buckets(length, chunk);
  const alike = (options: tl.models.AttentionOptions): tl.Layer =>
    tl.LSHSelfAttention({ ...options, chunkLen: chunk, nHashes: hashes, nBuckets });
  return tl.models.ReformerLM(vocabSize, {
    dModel,
    dFf: 4 * dModel,
    dAttentionKey: dModel / heads,
    dAttentionValue: dModel / heads,
    nLayers: layers,
    nHeads: heads,
    dropout: 0,
    attentionType: Array.from({ length: layers }, (_, i) => (i % 2 === 0 ? near : alike)),
    posType: 'axial',
    posAxialShape: grid(length),
    posDAxialEmbs: [Math.floor(dModel / 4), Math.ceil((3 * dModel) / 4)],
  });
}

/** Two buckets for each chunk. */
export function buckets(length: number, chunk: number): number {
  return (2 * length) / chunk;
}

/** The model that the options ask for, not initialized. */
export function makeModel(vocabSize: number, options: Options): tl.Layer<tl.Tensor, 1> {
  return { transformer, reformer }[options.model](vocabSize, options);
}

/**
 * Multiplies the vectors of characters by √dModel, once the model is initialized. Those of positions start with features of size 1,
 * beside which characters would hardly be seen, and a run this short would be over before they had grown.
 */
export function enlargeEmbedding(model: tl.Layer, dModel: number): void {
  const embedding = model.sublayers.find((layer) => layer.name.startsWith('Embedding'))!;
  embedding.weights = tl.tree.map((w) => w.mul(Math.sqrt(dModel)), embedding.weights);
}
