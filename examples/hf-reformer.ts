/**
 * Runs a Reformer that the transformers library of Hugging Face has saved: the language model of this library is the same model, so its
 * weights only have to change their layout.
 *
 *     npx tsx examples/hf-reformer.ts <folder with config.json, model.safetensors and reference.safetensors>
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tl from 'tallow';

/** Sizes of attention of either kind. */
type Chunks = Readonly<
  Record<`${'local' | 'lsh'}_${'attn_chunk_length' | 'num_chunks_before' | 'num_chunks_after'}`, number>
>;

/** What is read of `config.json`. */
interface Config extends Chunks {
  readonly attention_head_size: number;
  readonly attn_layers: readonly ('local' | 'lsh')[];
  readonly axial_pos_embds: boolean;
  readonly axial_pos_embds_dim: readonly number[];
  readonly axial_pos_shape: readonly number[];
  readonly feed_forward_size: number;
  readonly hidden_act: string;
  readonly hidden_size: number;
  readonly is_decoder: boolean;
  readonly layer_norm_eps: number;
  readonly max_position_embeddings: number;
  readonly num_attention_heads: number;
  readonly num_buckets: number | readonly number[] | null;
  readonly num_hashes: number;
  readonly vocab_size: number;
}

const activations: Readonly<Record<string, tl.LayerFactory>> = { relu: tl.Relu, gelu: tl.Gelu, gelu_new: tl.FastGelu };

/** The model of a configuration, without weights. It begins with the embedding: transformers shifts nothing, its labels are. */
function build(config: Config): tl.Layer<tl.Tensor, 1> {
  const ffActivation = activations[config.hidden_act];
  if (!config.is_decoder || ffActivation === undefined) throw new Error('only decoders with ReLU or GELU are run here');
  const chunks = (type: 'local' | 'lsh'): tl.SelfAttentionOptions => ({
    chunkLen: config[`${type}_attn_chunk_length`],
    nChunksBefore: config[`${type}_num_chunks_before`],
    nChunksAfter: config[`${type}_num_chunks_after`],
  });
  const local = (options: tl.models.AttentionOptions): tl.Layer => tl.SelfAttention({ ...options, ...chunks('local') });
  const hashes = { nHashes: config.num_hashes, nBuckets: config.num_buckets };
  const lsh = (options: tl.models.AttentionOptions): tl.Layer =>
    tl.LSHSelfAttention({ ...options, ...chunks('lsh'), ...hashes });
  const model = tl.models.ReformerLM(config.vocab_size, {
    dModel: config.hidden_size,
    dFf: config.feed_forward_size,
    dAttentionKey: config.attention_head_size,
    dAttentionValue: config.attention_head_size,
    nLayers: config.attn_layers.length,
    nHeads: config.num_attention_heads,
    attentionType: config.attn_layers.map((type) => ({ local, lsh })[type]),
    ffActivation,
    epsilon: config.layer_norm_eps,
    maxLen: config.max_position_embeddings,
    posType: config.axial_pos_embds ? 'axial' : null,
    posAxialShape: config.axial_pos_shape,
    posDAxialEmbs: config.axial_pos_embds_dim,
    mode: 'eval',
  });
  const unshifted = tl.Serial(model.sublayers.slice(1));
  if (!tl.hasArity(unshifted, 1, 1)) throw new Error('a language model gives one tensor for one');
  return unshifted;
}

/** The weights in the order of the model, in its layouts. */
function* weightsOf(config: Config, saved: Readonly<Record<string, tl.Tensor>>): Generator<tl.Tensor> {
  const { num_attention_heads: heads, attention_head_size: size, hidden_size: depth } = config;
  const get = (name: string): tl.Tensor => {
    const found = saved[name];
    if (found === undefined) throw new Error(`the file has no tensor ${name}`);
    return found;
  };
  const pair = (name: string): tl.Tensor[] => [get(`${name}.weight`), get(`${name}.bias`)];
  // A linear layer of torch is (out, in), a dense layer (in, out); attention has its heads apart, (heads, in, out).
  const dense = (name: string): tl.Tensor[] => [get(`${name}.weight`).transpose(), get(`${name}.bias`)];
  const into = (name: string): tl.Tensor => get(`${name}.weight`).reshape([heads, size, depth]).transpose([0, 2, 1]);
  const outOf = (name: string): tl.Tensor => get(`${name}.weight`).transpose().reshape([heads, size, depth]);

  yield get('reformer.embeddings.word_embeddings.weight');
  const positions = 'reformer.embeddings.position_embeddings';
  if (config.axial_pos_embds)
    yield* config.axial_pos_shape.map((_, axis) => get(`${positions}.weights.${axis}`).expandDims(0));
  else yield get(`${positions}.embedding.weight`);
  for (const [i, type] of config.attn_layers.entries()) {
    const layer = `reformer.encoder.layers.${i}`;
    yield* pair(`${layer}.attention.layer_norm`);
    const projections = type === 'lsh' ? ['query_key', 'value'] : ['query', 'key', 'value'];
    yield* projections.map((name) => into(`${layer}.attention.self_attention.${name}`));
    yield outOf(`${layer}.attention.output.dense`);
    yield* pair(`${layer}.feed_forward.layer_norm`);
    yield* dense(`${layer}.feed_forward.dense.dense`);
    yield* dense(`${layer}.feed_forward.output.dense`);
  }
  yield* pair('reformer.encoder.layer_norm');
  yield* dense('lm_head.decoder');
}

/** The model that lies in a folder: from `int32[batch, length]` to the logits of the tokens that come next. */
export function load(folder: string): tl.Layer<tl.Tensor, 1> {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Config;
  const model = build(config);
  return tl.tidy(() => {
    const [like] = model.init(
      { shape: [1, config.max_position_embeddings], dtype: 'int32' },
      { rng: tl.random.key(0) },
    );
    const weights = weightsOf(config, tl.loadSafetensors(join(folder, 'model.safetensors')));
    const next = (): tl.Tensor => {
      const { value, done } = weights.next();
      if (done) throw new Error('the model has more weights than the file');
      return value;
    };
    model.weights = tl.tree.map<tl.Tensor, tl.Tensor>(next, like);
    if (!weights.next().done) throw new Error('the model has fewer weights than the file');
    return model;
  });
}

/** How far each position's logits are off those that transformers answered, which lie beside the model. */
export function check(folder: string): number[] {
  return tl.tidy(() => {
    const { input_ids: ids, logits } = tl.loadSafetensors(join(folder, 'reference.safetensors')) as Record<
      'input_ids' | 'logits',
      tl.Tensor
    >;
    return load(folder)(ids)
      .sub(logits)
      .abs()
      .max({ axis: [0, 2] })
      .array() as number[];
  });
}

if (require.main === module) {
  const errors = check(process.argv[2] ?? join(__dirname, '..', '__test__', 'support', 'hf-reformer-tiny'));
  console.log(`Logits are at most ${Math.max(...errors).toExponential(1)} off those of transformers.`);
}
