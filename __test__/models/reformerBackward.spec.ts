/** Reversible models beside the same layers run plainly: the same gradients, in memory that does not grow with depth. */
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { tensorOf, treesOf } from '../support/types.js';

const sizes = { dModel: 8, dFf: 16, nHeads: 2, maxLen: 32, nLayers: 3, dAttentionKey: 4, dAttentionValue: 4 };
const key = tl.random.key(3);
const ids = tl.random.randint(tl.random.key(5), [2, 16], 1, 13);

const of = (nest: tl.Nest, i: number): tl.Nest => treesOf(nest)[i]!;

/** A half residual that keeps what automatic differentiation wants: the same layers, keys, weights and state. */
class Plain extends tl.Layer {
  // Private: the weights are those of the whole, which the layers are given by hand.
  readonly #halves: readonly tl.Layer[];
  constructor(half: tl.Layer) {
    super({ nIn: half.nIn, nOut: half.nOut });
    this.#halves = half.sublayers;
  }
  override forward([accumulator, ...context]: tl.Tensor[]): tl.Tensor[] {
    const keys = tl.random.split(this.rng!, this.#halves.length);
    let stack: readonly tl.Tensor[] = context;
    this.state = this.#halves.map((layer, i) => {
      const given = stack.slice(0, layer.nIn);
      const [out, state] = layer.pureFn(
        given,
        of(this.weights, i),
        of(this.state, i),
        keys.slice([i, 0], [i + 1, 2]).reshape([2]),
      );
      stack = [...[out].flat(), ...stack.slice(layer.nIn)];
      return state;
    });
    return [accumulator!.add(stack[0]!), ...context];
  }
}

/** The same model without reversible layers. */
function plainly(layer: tl.Layer): tl.Layer {
  if (layer.name.startsWith('ReversibleHalfResidual')) return new Plain(layer);
  if (layer.name === 'ReversibleSwap') return tl.Swap();
  if (layer.name === 'ReversibleSerial' || /ReversibleSerial/.test(`${layer}`))
    return tl.Serial(layer.sublayers.map(plainly));
  return layer;
}

/** Outputs, and gradients of all weights, for the same cotangents. */
function pulled(
  model: tl.Layer,
  inputs: tl.Tensor[],
  weights: tl.Nest,
  state: tl.Nest,
): { y: tl.Tensor; grads: tl.Tensor[] } {
  const [y, pullback] = tl.vjp((w: tl.Nest) => tensorOf([model.pureFn(inputs, w, state, key)[0]].flat()[0]), weights);
  const [grads] = pullback(tl.random.normal(tl.random.key(8), y.shape));
  return { y, grads: tl.tree.leaves(grads).map(tensorOf) };
}

const norm = (x: tl.Tensor): number => Math.sqrt(x.square().sum().item());

/** Holds a model against the plain one. */
function alike(t: ExecutionContext, model: tl.Layer, inputs: tl.Tensor[], what: string): void {
  const [weights, state] = model.init(
    inputs.map((x) => tl.signature(x)),
    { rng: key },
  );
  const plain = plainly(model);
  t.notRegex(`${plain}`, /Reversible/, what);
  const [got, want] = [model, plain].map((m) => pulled(m, inputs, weights, state));
  const apart = got!.y.sub(want!.y).abs().max().item();
  t.is(apart, 0, `${what}: outputs`);
  const scale = Math.max(...want!.grads.map(norm));
  t.is(got!.grads.length, want!.grads.length);
  got!.grads.forEach((g, i) => {
    const error = norm(g.sub(want!.grads[i]!)) / (norm(want!.grads[i]!) + 1e-3 * scale);
    t.true(error < 1e-4, `${what}: gradient ${i} is off by ${error}`);
  });
}

/** Attention whose buckets matter: several chunks and rounds. */
const hashed = (options: tl.models.AttentionOptions): tl.Layer =>
  tl.LSHSelfAttention({ ...options, chunkLen: 4, nHashes: 2, nBuckets: 4 });

test('ReformerLM: gradients are those of the same layers run plainly, with dropout too', (t) => {
  const attentions = { SelfAttention: tl.SelfAttention, LSHSelfAttention: hashed, CausalAttention: tl.CausalAttention };
  for (const [name, attentionType] of Object.entries(attentions)) {
    for (const dropout of [0, 0.3]) {
      alike(t, tl.models.ReformerLM(13, { ...sizes, attentionType, dropout }), [ids], `${name}, dropout ${dropout}`);
    }
  }
});

test('ReformerLM: so are those of chunks and of recurrent layers', (t) => {
  for (const options of [{ ffChunkSize: 4 }, { ffUseSru: 1 }, { attentionChunkSize: 4 }, { nFeedforwardLayers: 2 }]) {
    alike(t, tl.models.ReformerLM(13, { ...sizes, ...options }), [ids], JSON.stringify(options));
  }
});

test('ReformerLM: so are those of a sparse feed-forward part and a sparse loss layer, at lots both ways', (t) => {
  for (const options of [
    { ffSparsity: 4 },
    { ffSparsity: [4, 3, 2, 1], ffChunkSize: 4, dropout: 0.3 },
    { ffSparsity: [4, 3, 2, 0.5], mode: 'eval' },
    { lossSparsityType: 'einsum', lossSparsity: 1, lossSparsityProb: 0.5 },
  ] as tl.models.ReformerLMOptions[]) {
    alike(t, tl.models.ReformerLM(13, { ...sizes, ...options }), [ids], JSON.stringify(options));
  }
});

test('ReformerShortenLM and Reformer: so are theirs', (t) => {
  alike(t, tl.models.ReformerShortenLM(13, { ...sizes, dEmbedding: 4, shortenFactor: 2 }), [ids], 'ReformerShortenLM');
  const { dModel, dFf, nHeads, maxLen } = sizes;
  const source = tl.random.randint(tl.random.key(6), [2, 6], 0, 13);
  for (const options of [{}, { encoderDecoderAttentionType: tl.AttentionQKV, encoderAttentionType: tl.Attention }]) {
    const model = tl.models.Reformer(13, {
      dModel,
      dFf,
      nHeads,
      maxLen,
      nEncoderLayers: 2,
      nDecoderLayers: 2,
      ...options,
    });
    alike(t, model, [source, ids], `Reformer ${Object.keys(options)}`);
  }
});

/** Bytes alive at the peak of a step, beyond weights and their gradients. */
function peak(made: (nLayers: number) => tl.Layer, nLayers: number): number {
  const model = made(nLayers);
  const x = tl.random.randint(key, [2, 128], 1, 13);
  const [weights, state] = model.init(tl.signature(x), { rng: key });
  const ofWeights = tl.tree.leaves(weights).reduce((sum, w) => sum + 4 * w.size, 0);
  return tl.tidy(() => {
    const before = tl.memory().bytes;
    tl.resetPeakMemory();
    const [y, pullback] = tl.vjp((w: tl.Nest) => model.pureFn(x, w, state, key)[0], weights);
    pullback(y);
    return tl.memory().peakBytes - before - ofWeights;
  });
}

test.serial('ReformerLM: activations take no more memory with more layers', (t) => {
  const options = { dModel: 32, dFf: 64, nHeads: 2, dAttentionKey: 16, dAttentionValue: 16, maxLen: 128 };
  const attentions = { SelfAttention: tl.SelfAttention, LSHSelfAttention: tl.LSHSelfAttention };
  for (const [name, attentionType] of Object.entries(attentions)) {
    const [shallow, deep] = [2, 12].map((n) =>
      peak((nLayers) => tl.models.ReformerLM(13, { ...options, attentionType, nLayers }), n),
    );
    t.true(deep! < 1.1 * shallow!, `${name}: ${shallow} bytes, then ${deep}`);
  }
  // A model that keeps all activations does grow, so the measurement sees them.
  const [shallow, deep] = [2, 12].map((n) =>
    peak((nLayers) => tl.models.TransformerLM(13, { dModel: 32, dFf: 64, nHeads: 2, maxLen: 128, nLayers }), n),
  );
  t.true(deep! > 3 * shallow!, `TransformerLM: ${shallow} bytes, then ${deep}`);
});
