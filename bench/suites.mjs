/**
 * What one repetition of each case does, in tallow. `build(tl, suite, params)` gives `[repeat, info]`; `info` may hold
 * `flops`, `tokens` and `inner` (elementary operations in one repetition). A repetition returns when its results are in memory.
 */

/** An error whose text tells a driver to pass the case over. */
const unknown = (what) => new Error(`NotImplementedError: ${what}`);

/** Normal draws, another key for each tensor of a case. */
function normals(tl) {
  let drawn = 0;
  return (...shape) => tl.random.normal(tl.random.foldIn(tl.random.key(0), drawn++), shape);
}

/** Ids in `1..vocab-1`. */
const tokens = (tl, shape, vocab) => tl.random.randint(tl.random.key(1), shape, 1, vocab);

function gemm(tl, { b, m, k, n }) {
  const normal = normals(tl);
  const [x, y] = b > 1 ? [normal(b, m, k), normal(b, k, n)] : [normal(m, k), normal(k, n)];
  return [() => tl.matmul(x, y).dispose(), { flops: 2 * b * m * k * n }];
}

const transformer = (tl, p, options) =>
  tl.models.TransformerLM(p.vocab, {
    dModel: p.d_model,
    dFf: p.d_ff,
    nLayers: p.layers,
    nHeads: p.heads,
    dropout: 0,
    ...options,
  });

/** With `fused` the output layer is a part of the loss, so that the logits never exist at once. */
function trainLm(tl, p) {
  if (!p.fused) return trainStep(tl, p, transformer(tl, p, { maxLen: p.length, mode: 'train' }));
  const { vocab: vocabSize, d_model: dModel, d_ff: dFf, layers: nLayers, heads: nHeads, length: maxLen } = p;
  const decoder = tl.models.TransformerDecoder({ vocabSize, dModel, dFf, nLayers, nHeads, maxLen, dropout: 0 });
  return trainStep(tl, p, tl.Serial(tl.ShiftRight(), decoder), tl.WeightedLinearCrossEntropy(vocabSize));
}

function trainStep(tl, p, languageModel, loss = tl.WeightedCategoryCrossEntropy()) {
  const model = tl.Serial(languageModel, loss);
  const ids = tokens(tl, [p.batch, p.length], p.vocab);
  return [steps(tl, model, [ids, ids, tl.ones([p.batch, p.length])]), { tokens: p.batch * p.length }];
}

/** One step of Adam after the other on the same batch. */
function steps(tl, model, batch) {
  model.init(tl.signature(batch), { rng: tl.random.key(0) });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 1e-3 }));
  let step = 0;
  return () => {
    const [loss] = trainer.oneStep(batch, [0, step], { step });
    step += 1;
    return loss;
  };
}

/** Attention of heads of a depth of their own, as Reformer's cases have it. */
const attentionOfDepth =
  (tl, depth) =>
  ({ nHeads, mode, attentionDropout: dropout }) => {
    const project = () => tl.Dense(nHeads * depth, { useBias: false });
    const attend = tl.DotProductCausalAttention({ dropout, mode });
    return tl.ConfigurableAttention(project(), project(), project(), tl.Dense(256, { useBias: false }), attend, {
      nHeads,
    });
  };

/** Reversible residual blocks against plain ones, by depth. */
function reversible(tl, { model, layers }) {
  const p = { vocab: 256, d_model: 256, d_ff: 512, layers, heads: 2, batch: 1, length: 1024 };
  if (model === 'transformer') return trainLm(tl, p);
  const { vocab, d_model: dModel, d_ff: dFf, heads: nHeads, length: maxLen } = p;
  const attentionType = attentionOfDepth(tl, 64);
  const options = { dModel, dFf, nLayers: layers, nHeads, maxLen, dropout: 0, attentionType, ffActivation: tl.Relu };
  return trainStep(tl, p, tl.models.ReformerLM(vocab, options));
}

/** Greedy: each token is read by the host, and is the next input of its sequence. */
function decode(tl, p) {
  const whole = transformer(tl, p, { maxLen: p.tokens, mode: 'eval' });
  const first = tl.zeros([p.batch, 1], { dtype: 'int32' });
  whole.init(tl.signature(first), { rng: tl.random.key(0) });
  const model = p.quantize === undefined ? whole : whole.quantize(p.quantize);
  const repeat = () =>
    tl.tidy(() => {
      const writer = model.withMode('predict');
      const ids = [];
      let token = first;
      for (let i = 0; i < p.tokens; i += 1) {
        token = writer(token).argmax(-1);
        ids.push(...token.dataSync());
      }
      return ids;
    });
  return [repeat, { tokens: p.batch * p.tokens }];
}

/** A prompt is read in one pass, up to the token that comes behind it. */
function prompt(tl, p) {
  const model = transformer(tl, p, { maxLen: p.length, mode: 'eval' });
  const ids = tokens(tl, [p.batch, p.length], p.vocab);
  model.init(tl.signature(ids), { rng: tl.random.key(0) });
  const last = () => model.withMode('predict')(ids).slice([0, -1], [null, null]);
  const repeat = () => tl.tidy(() => [...last().argmax(-1).dataSync()]);
  return [repeat, { tokens: p.batch * p.length }];
}

/** Greedy, of an encoder and a decoder: the source is read once and each token once, or without a cache all of it for each token. */
function translate(tl, p) {
  const { vocab, d_model: dModel, d_ff: dFf, layers, heads: nHeads, batch, tokens: length } = p;
  const depth = { nEncoderLayers: layers, nDecoderLayers: layers };
  const options = { dModel, dFf, ...depth, nHeads, dropout: 0, maxLen: length, mode: 'eval' };
  const whole = tl.models.Transformer(vocab, options);
  const source = tokens(tl, [batch, length], vocab);
  const zeros = (n) => tl.zeros([batch, n], { dtype: 'int32' });
  const [first, empty] = [zeros(1), zeros(length)];
  whole.init(
    [source, empty].map((x) => tl.signature(x)),
    { rng: tl.random.key(0) },
  );
  const withCache = () => {
    const stepping = whole.withMode('predict');
    const said = [];
    for (let token = first; said.length < length;) {
      token = stepping([source, token])[0].argmax(-1);
      said.push(token);
    }
    return tl.concat(said, 1);
  };
  const without = () => {
    let target = empty;
    for (let i = 0; i < length; i += 1) {
      const said = whole([source, target])[0]
        .argmax(-1)
        .slice([0, 0], [null, i + 1]);
      target = i + 1 < length ? tl.concat([said, zeros(length - i - 1)], 1) : said;
    }
    return target;
  };
  const repeat = () => tl.tidy(() => [...(p.cached ? withCache() : without()).dataSync()]);
  return [repeat, { tokens: batch * length }];
}

/** Forward, and backward from a fixed cotangent to every input. */
function forwardBackward(tl, f, ...inputs) {
  const cotangent = tl.tidy(() => tl.onesLike(f(...inputs)));
  const repeat = () =>
    tl.tidy(() => {
      const [, pullback] = tl.vjp(f, ...inputs);
      pullback(cotangent);
    });
  return [repeat, {}];
}

/** A layer whose weights are arguments, so that they get gradients. */
function layerForwardBackward(tl, layer, x, ...others) {
  const [weights, state] = layer.init(tl.signature(others.length > 0 ? [x, ...others] : x), { rng: tl.random.key(0) });
  const call = (x, weights) => layer.pureFn(others.length > 0 ? [x, ...others] : x, weights, state)[0];
  return tl.tree.leaves(weights).length > 0
    ? forwardBackward(tl, call, x, weights)
    : forwardBackward(tl, (x) => call(x, weights), x);
}

/** A recurrent layer over whole sequences, with gradients of inputs and weights. */
function rnn(tl, { cell, units, batch, length }) {
  const layer = { lstm: tl.LSTM, gru: tl.GRU, sru: tl.SRU }[cell](units);
  const [repeat] = layerForwardBackward(tl, layer, normals(tl)(batch, length, units));
  return [repeat, { tokens: batch * length }];
}

function elementwise(tl, p) {
  const normal = normals(tl);
  switch (p.kind) {
    case 'layernorm':
      return layerForwardBackward(tl, tl.LayerNorm(), normal(p.rows, p.cols));
    case 'xent': {
      const targets = tl.random.randint(tl.random.key(1), [p.rows], 0, p.cols);
      return layerForwardBackward(tl, tl.CategoryCrossEntropy(), normal(p.rows, p.cols), targets);
    }
    case 'gelu': {
      const x = normal(p.n);
      const gelu = tl.Gelu();
      return [() => gelu(x).dispose(), {}];
    }
    case 'gelu_fb': {
      const gelu = tl.Gelu();
      return forwardBackward(tl, (x) => gelu(x), normal(p.n));
    }
    case 'embgrad': {
      const ids = tl.random.randint(tl.random.key(1), [p.ids], 0, p.vocab);
      return forwardBackward(tl, (table) => table.take(ids, 0), normal(p.vocab, p.d));
    }
    case 'dropout': {
      const layer = tl.Dropout({ rate: p.rate, mode: 'train' });
      const x = normal(p.n);
      layer.init(tl.signature(x), { rng: tl.random.key(0) });
      let call = 0;
      return [() => layer(x, { rng: [0, call++] }).dispose(), {}];
    }
    default:
      throw unknown(`elementwise ${p.kind}`);
  }
}

/** Attention of two heads, to the input and to the weights: within chunks of 64 along hash buckets, or of all to all. */
function attention(tl, p) {
  const common = { nHeads: 2, dQk: 64, dV: 64, causal: true, mode: 'train' };
  const layer =
    p.attn === 'lsh'
      ? tl.LSHSelfAttention({ ...common, chunkLen: 64, nChunksBefore: 1, nChunksAfter: 0, nHashes: p.hashes })
      : tl.SelfAttention(common);
  const [repeat] = layerForwardBackward(tl, layer, normals(tl)(p.batch, p.length, 256));
  return [repeat, { tokens: p.batch * p.length }];
}

/** Images of `h × w` positions and `c` channels, channels last. */
function convolution(tl, { kind, b, h, w, c }) {
  const x = normals(tl)(b, h, w, c);
  switch (kind) {
    case 'conv': {
      const [repeat] = layerForwardBackward(tl, tl.Conv(c, [3, 3], { padding: 'SAME' }), x);
      return [repeat, { flops: 3 * 2 * b * h * w * 9 * c * c }];
    }
    case 'maxpool':
      return layerForwardBackward(tl, tl.MaxPool({ strides: [2, 2] }), x);
    case 'batchnorm':
      return layerForwardBackward(tl, tl.BatchNorm(), x);
    default:
      throw unknown(`conv ${kind}`);
  }
}

function overhead(tl, { n, inner }) {
  const normal = normals(tl);
  const [x, y] = [normal(n), normal(n)];
  const repeat = () => {
    for (let i = 0; i < inner; i += 1) x.add(y).dispose();
  };
  return [repeat, { inner }];
}

const suites = {
  gemm,
  train_lm: trainLm,
  lsh: attention,
  reversible,
  decode,
  prompt,
  translate,
  rnn,
  conv: convolution,
  elementwise,
  js_overhead: overhead,
};

/** One case, ready to be repeated: `[repeat, info]`. */
export function build(tl, suite, params) {
  if (!Object.hasOwn(suites, suite)) throw unknown(suite);
  return suites[suite](tl, params);
}
