import { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';

/** A float32 signature. */
export function f32(shape: readonly number[]): tl.Signature {
  return { shape, dtype: 'float32' };
}

/** A float32 tensor, of whole numbers too. */
export function floats(data: tl.TensorData): tl.Tensor {
  return tl.tensor(data, null, { dtype: 'float32' });
}

/** The values of nested tensors, nested in the same way. */
export function values(nest: unknown): unknown {
  return tl.tree.map((leaf: unknown) => (leaf instanceof tl.Tensor ? leaf.array() : leaf), nest);
}

/** Asserts that a tensor holds these values, but for float32 rounding. */
export function close(t: ExecutionContext, x: tl.Tensor, wanted: tl.Nested, tolerance = 1e-6): void {
  const [got, want] = [x, tl.tensor(wanted, null, { dtype: 'float32' })].map((v) =>
    Array.from(v.cast('float32').dataSync() as Float32Array),
  );
  t.deepEqual(x.shape, tl.tensor(wanted).shape);
  got!.forEach((g, i) =>
    t.true(Math.abs(g - want![i]!) <= tolerance * Math.max(1, Math.abs(want![i]!)), `[${i}] is ${g}, not ${want![i]}`),
  );
}

/** What a layer of one output returns, where its type does not say that there is one. */
export function one(y: tl.LayerOutputs): tl.Tensor {
  if (Array.isArray(y)) throw new TypeError(`one output is expected, the layer gives ${y.length}`);
  return y;
}

/** What a layer of several outputs returns, where its type does not say that there are. */
export function several(y: tl.LayerOutputs): tl.Tensor[] {
  if (!Array.isArray(y)) throw new TypeError('several outputs are expected, the layer gives one');
  return y;
}
