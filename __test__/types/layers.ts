/** What the compiler refuses, and the types it finds. */
import { expectTypeOf } from 'expect-type';
import * as tl from '../../src/index.js';

const x = tl.ones([2, 3]);
const dense = tl.Dense(4);

type One = tl.Layer<tl.Tensor, 1>;
expectTypeOf(dense).toEqualTypeOf<One>();
expectTypeOf(tl.Serial(dense, [tl.Relu(), [tl.Tanh()]], null, { name: 'Model' })).toEqualTypeOf<One>();
expectTypeOf(dense.weights).toEqualTypeOf<tl.Nest>();
expectTypeOf(dense.init({ shape: [2, 3], dtype: 'float32' })).toEqualTypeOf<[weights: tl.Nest, state: tl.Nest]>();
expectTypeOf(dense.callAsync(x)).resolves.toEqualTypeOf<tl.Tensor>();
expectTypeOf(dense.withMode('eval')).toEqualTypeOf<One>();
expectTypeOf(tl.GlorotUniformInitializer()).toEqualTypeOf<tl.KernelInitializer>();
expectTypeOf(tl.optimizers.Adam({ learningRate: 0.1 })).toEqualTypeOf<tl.Optimizer>();

expectTypeOf(tl.PureLayer((a: tl.Tensor) => a)).toExtend<tl.Layer>();
expectTypeOf(new tl.PureLayer((a: tl.Tensor) => a)).toEqualTypeOf<tl.PureLayer>();
expectTypeOf(tl.npFromFile('weights.npy.gz', 2)).toEqualTypeOf<tl.Tensor[]>();

// @ts-expect-error: a number is no function
tl.PureLayer(3);
// @ts-expect-error: a positional parameter is missing
tl.Dense();
// @ts-expect-error: a number, not a string
tl.Dense('4');
// @ts-expect-error: an option misspelt
tl.Dense(4, { useBais: false });
// @ts-expect-error: an option of another type
tl.Dense(4, { useBias: 1 });
// @ts-expect-error: snake_case is Python's
tl.Attention(8, { n_heads: 2 });
// @ts-expect-error: a mode misspelt
tl.Dropout({ mode: 'training' });
expectTypeOf(tl.LSTM(4, { returnState: true })).toEqualTypeOf<tl.Layer>();
// @ts-expect-error: the size is required
tl.LSTM();
// @ts-expect-error: an option of LSTM alone
tl.GRU(4, { returnState: true });
// @ts-expect-error: a layer, not its name
tl.SRU(4, { activation: 'Tanh' });
// @ts-expect-error: the mode is required
tl.ScanSRUCell();
expectTypeOf(
  tl.Conv(8, [3, 3], {
    padding: [
      [1, 0],
      [0, 1],
    ],
    dimensionNumbers: ['NCHW', 'OIHW', 'NCHW'],
  }),
).toEqualTypeOf<One>();
// @ts-expect-error: a size for each axis
tl.Conv(8, 3);
// @ts-expect-error: a padding misspelt
tl.Conv(8, [3, 3], { padding: 'same' });
// @ts-expect-error: pairs
tl.Conv(8, [3, 3], { padding: [1, 1] });
// @ts-expect-error: three layouts
tl.Conv(8, [3, 3], { dimensionNumbers: ['NHWC', 'HWIO'] });
// @ts-expect-error: one size
tl.Conv1d(8, [3]);
// @ts-expect-error: a list
tl.MaxPool({ poolSize: 2 });
// @ts-expect-error: Trax's misspelling
tl.ConvTranspose(8, [3, 3], { kernelInitialzer: tl.GlorotNormalInitializer() });
// @ts-expect-error: initializers are functions
tl.Dense(4, { kernelInitializer: 'glorot' });
// @ts-expect-error: an initializer returns a tensor
tl.Dense(4, { kernelInitializer: () => 3 });
// @ts-expect-error: a number is no layer
tl.Serial(dense, 7);
// @ts-expect-error: a factory must be called
tl.Serial(dense, tl.Relu);
// @ts-expect-error: no such transform
tl.InfinitePositionalEncoding({ transform: 'all' as string });
// @ts-expect-error: shapes are lists
tl.ReversibleReshape(2, [2]);
// @ts-expect-error: one layer attends
tl.ReversibleHalfResidual(dense, { attentionLayer: [dense] });
// @ts-expect-error: a kind of positions misspelt
tl.models.ReformerLM(11, { attentionType: tl.CausalAttention, posType: 'sincos' });
// @ts-expect-error: an option misspelt after rest parameters
tl.Serial(dense, { nam: 'Model' });
// @ts-expect-error: one layer, not a list
tl.Scan([dense]);
// @ts-expect-error: the layer that decides is missing its choice
tl.Cond(dense);
// @ts-expect-error: a function returns tensors
tl.Fn('Three', () => 3);
// @ts-expect-error: a function returns tensors, not a promise of one
tl.Fn('Later', async (a: tl.Tensor) => a);
// @ts-expect-error: a mode misspelt
dense.withMode('test');
// @ts-expect-error: a signature has a shape
dense.init({ dtype: 'float32' });
// @ts-expect-error: no such dtype
dense.init({ shape: [2, 3], dtype: 'float' });
// @ts-expect-error: a key has two words
dense.init({ shape: [2, 3], dtype: 'float32' }, { rng: [1, 2, 3] });
// @ts-expect-error: an option of another library
tl.optimizers.Adam({ lr: 0.1 });
// @ts-expect-error: the random key is required
void new tl.Trainer(dense, tl.optimizers.Adam()).fit([[x]], { steps: 1 });
// @ts-expect-error: names are read-only
dense.name = 'Other';

class Mine extends tl.Layer {
  override forward(input: tl.Tensor): tl.Tensor {
    return input;
  }
}
expectTypeOf(new Mine()).toExtend<tl.Layer>();
tl.Serial(new Mine(), dense);

export class Wrong extends tl.Layer {
  // @ts-expect-error: forward returns tensors
  override forward(): number {
    return 3;
  }
}
// @ts-expect-error: one layer, not a list
tl.Accelerate([dense], { nDevices: 2 });
// @ts-expect-error: an option misspelt
tl.Accelerate(dense, { devices: 2 });
expectTypeOf(tl.jitForward((x, _w, s) => [x, s], 2)).returns.toEqualTypeOf<[outputs: tl.Tensor, state: tl.Nest]>();

// @ts-expect-error: a list of numbers of buckets, not of strings
tl.LSHSelfAttention({ nBuckets: ['4'] });
// @ts-expect-error: the numbers of buckets and of hashes are required
tl.hashVecs(x);
// @ts-expect-error: no such format of weights
tl.PureLSHSelfAttentionWrapper({ weightsFormat: 'dense' });
// @ts-expect-error: the number of heads is required
void new tl.EfficientAttentionBase();

class Same extends tl.EfficientAttentionBase {
  override forwardUnbatched(input: tl.Tensor, { state }: tl.AttentionContext): [tl.Tensor, tl.Nest] {
    return [input, state];
  }
}
expectTypeOf(new Same(2)).toExtend<tl.Layer>();
export class WrongWay extends tl.ReversibleLayer {
  // @ts-expect-error: reverse returns tensors
  override reverse(): number {
    return 3;
  }
}

expectTypeOf(tl.models.Reformer(8, { encoderDecoderAttentionType: tl.AttentionQKV })).toEqualTypeOf<
  tl.Layer<[tl.Tensor, tl.Tensor], 2>
>();
expectTypeOf(
  tl.models.ReformerLM(8, {
    attentionType: [tl.SelfAttention, (o: tl.models.AttentionOptions) => tl.LSHSelfAttention({ ...o, nHashes: 2 })],
  }),
).toEqualTypeOf<One>();
expectTypeOf(tl.models.reformer.DecoderBlock(8)).toEqualTypeOf<tl.LayerNest[]>();
expectTypeOf(tl.loadSafetensors('model.safetensors')).toEqualTypeOf<Record<string, tl.Tensor>>();

// @ts-expect-error: an option misspelt
tl.models.ReformerLM(8, { nLayer: 2 });
// @ts-expect-error: positions of no kind
tl.models.ReformerLM(8, { posType: 'axail' });
// @ts-expect-error: a mode it does not have
tl.models.ReformerShortenLM(8, { mode: 'predict' });
// @ts-expect-error: no attention layer
tl.models.ReformerLM(8, { attentionType: tl.relu });
expectTypeOf(tl.getRelAttInputs(4, 2)).toEqualTypeOf<tl.Layer[]>();
expectTypeOf(tl.calcFunnelRatio(4, 2)).toEqualTypeOf<[funnelFactor: number, isUpsampling: boolean]>();
expectTypeOf(tl.FeedForwardBlock(4, 8, 0, null, 'eval', tl.Relu)).toEqualTypeOf<tl.Layer[]>();
expectTypeOf(tl.LinearPooling(2, 4, 8, { dropout: 0.1 })).toEqualTypeOf<One>();
expectTypeOf(tl.testUtils.MockTransformerLM(() => 1, 'predict', 4)).toEqualTypeOf<tl.testUtils.MockTransformerLM>();
tl.models.HourglassLM(8, {
  downsamplingFn: tl.LinearPooling,
  upsamplingFn: tl.NaiveUpsampling,
  attentionUpsamplingFn: tl.LinearUpsampling,
});
// @ts-expect-error: an option misspelt
tl.LinearUpsampling(2, 4, { droput: 0.1 });
// @ts-expect-error: a mode that several positions at once have not
tl.models.HourglassLM(8, { mode: 'predict' });
// @ts-expect-error: no sparsity that there is
tl.models.ConfigurableTransformerLM(8, { ffSparsityType: 'Blocks' });
