/** Layers drawn at random, and what must hold of each that can be made. */
import * as tl from '../../src/index.js';
import { type Roll } from './mutate.js';

type Maker = (roll: Roll) => tl.Layer;

const pick = <T>(of: readonly T[], roll: Roll): T => of[roll(of.length)]!;
const size = (roll: Roll): number => pick([1, 2, 3, 4, 4, 4, 8], roll);

const LEAVES: readonly Maker[] = [
  (roll) => tl.Dense(size(roll), { useBias: roll(2) === 0 }),
  () => tl.Relu(),
  () => tl.Gelu(),
  () => tl.Tanh(),
  () => tl.Sigmoid(),
  (roll) => tl.Softmax({ axis: roll(3) - 2 }),
  (roll) => tl.LogSoftmax({ axis: -1 - roll(2) }),
  (roll) => tl.LayerNorm({ center: roll(2) === 0 }),
  (roll) => tl.BatchNorm({ axis: roll(3) }),
  (roll) => tl.Dropout({ rate: pick([0, 0.5, 0.9], roll) }),
  (roll) => tl.Embedding(1 + roll(9), size(roll)),
  (roll) => tl.Conv(size(roll), [1 + roll(3), 1 + roll(3)], { padding: pick(['SAME', 'VALID'], roll) }),
  (roll) => tl.MaxPool({ poolSize: [1 + roll(2), 1 + roll(2)] }),
  (roll) => tl.LSTM(size(roll)),
  (roll) => tl.GRU(size(roll)),
  (roll) => tl.SRU(size(roll)),
  (roll) => tl.Mean({ axis: roll(4) - 2 }),
  (roll) => tl.Flatten({ nAxesToKeep: roll(3) }),
  (roll) => tl.ShiftRight({ nPositions: 1 + roll(2) }),
  (roll) => tl.PositionalEncoding({ maxLen: 1 + roll(8) }),
  (roll) => tl.CausalAttention(size(roll), { nHeads: 1 + roll(2) }),
  (roll) => tl.SelfAttention({ nHeads: 1 + roll(2), dQk: size(roll), dV: size(roll), causal: roll(2) === 0 }),
  (roll) =>
    tl.LSHSelfAttention({
      nHeads: 1 + roll(2),
      dQk: 4,
      dV: 4,
      causal: true,
      chunkLen: 1 + roll(4),
      nBuckets: 2 * (1 + roll(2)),
      nHashes: 1 + roll(2),
    }),
  () => tl.Add(),
  () => tl.Multiply(),
  () => tl.Concatenate(),
  () => tl.Dup(),
  () => tl.Swap(),
  () => tl.Drop(),
  (roll) => tl.Select(Array.from({ length: 1 + roll(3) }, () => roll(3))),
  () => tl.Fn('Doubled', (x: tl.Tensor) => x.mul(2)),
];

/** A layer of at most so many levels. */
export function tree(roll: Roll, levels: number): tl.Layer {
  const some = (most: number): tl.Layer[] => Array.from({ length: roll(most + 1) }, () => tree(roll, levels - 1));
  const one = (): tl.Layer => tree(roll, levels - 1);
  if (levels === 0 || roll(3) === 0) return pick(LEAVES, roll)(roll);
  const kinds: readonly (() => tl.Layer)[] = [
    () => tl.Serial(...some(4)),
    () => tl.Serial(...some(4)),
    () => tl.Parallel(...some(3)),
    () => tl.Branch(...some(3)),
    () => tl.Residual(...some(3)),
    () => tl.ReversibleSerial(tl.ReversibleHalfResidual(one()), tl.ReversibleSwap()),
    () => tl.Bidirectional(one()),
    () => tl.BatchLeadingAxes(one(), { nLastAxesToKeep: 1 + roll(2) }),
    () => tl.Chunk(one(), 1 + roll(2)),
    () => {
      const shared = one();
      return tl.Serial(shared, shared);
    },
  ];
  return pick(kinds, roll)();
}

const SIGNATURES: readonly tl.Signature[] = [
  { shape: [2, 4], dtype: 'float32' },
  { shape: [2, 4, 4], dtype: 'float32' },
  { shape: [2, 6], dtype: 'int32' },
  { shape: [1, 4, 4, 3], dtype: 'float32' },
  { shape: [0, 4], dtype: 'float32' },
  { shape: [], dtype: 'float32' },
];

const bits = (x: unknown): string =>
  JSON.stringify(tl.tree.leaves(x as tl.Nest).map((leaf) => (leaf instanceof tl.Tensor ? leaf.array() : leaf)));

/** A drawn layer that gave other numbers where it must give the same. */
export class Unequal extends Error {}

/**
 * Draws a layer and uses it: it is initialized, called twice with a key, saved, loaded into itself, and called again, which all gives the same bits;
 * then it takes a training step. Errors of the package end it.
 */
export function useTree(roll: Roll, file: string): void {
  const layer = tree(roll, 1 + roll(4));
  const nIn = layer.nIn;
  const signatures = Array.from({ length: Math.max(nIn, 1) }, () => pick(SIGNATURES, roll));
  const inputs = signatures.map(({ shape, dtype }, i) =>
    dtype === 'int32' ? tl.random.randint([0, i], shape, 0, 5) : tl.random.normal([0, i], shape),
  );
  const given = nIn === 1 ? inputs[0]! : inputs;
  layer.init(nIn === 1 ? signatures[0]! : signatures, { rng: [0, 1] });
  const state = layer.state;
  const call = (): string => {
    layer.state = state;
    return bits(layer(given, { rng: [0, 2] }));
  };
  const first = call();
  if (call() !== first) throw new Unequal(`two calls of ${layer} differ`);
  layer.state = state;
  layer.saveToFile(file);
  layer.initFromFile(file);
  if (call() !== first) throw new Unequal(`${layer} differs after it was saved and loaded`);
  layer.state = state;
  const loss = tl.Serial(
    layer,
    tl.Fn('loss', (x: tl.Tensor) => x.cast('float32').square().mean()),
  );
  new tl.Trainer(loss, tl.optimizers.SGD({ learningRate: 0.01 })).oneStep(inputs, [0, 3]);
}
