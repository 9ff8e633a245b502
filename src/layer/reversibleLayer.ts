/**
 * Layers whose inputs follow from their outputs, as a class.
 *
 * @module
 */
import { vjp } from '../tensor/gradients.js';
import { type Run } from './classes.js';
import { Layer, type LayerOptions, type LayerOutputs } from './layer.js';
import { setReversibleClass } from './make.js';
import { Adopted, listOf, unwrap, words } from './parts.js';
import { native } from '../bridge/native.js';
import { type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';
import { decode, encode, type Nest } from './wire.js';

/**
 * A layer whose inputs follow from its outputs: all layers of the module `reversible`, and classes that extend this one.
 *
 * A class has `forward` and `reverse`, and may have `initWeightsAndState` and `reverseAndGrad`. In a {@link ReversibleSerial} the layer keeps nothing for the
 * backward pass. `reverse` must give the inputs up to the rounding of floats.
 *
 * @see {@link ReversibleSerial}, {@link Layer}
 * @example
 * ```ts
 * class Rotate extends tl.ReversibleLayer {
 *   constructor() {
 *     super({ nIn: 2, nOut: 2 });
 *   }
 *   override forward([x, y]: tl.Tensor[]) {
 *     return [y!.neg(), x!];
 *   }
 *   override reverse([x, y]: tl.Tensor[]) {
 *     return [y!, x!.neg()];
 *   }
 * }
 * new Rotate()([[1, 2], [3, 4]]); // → [Tensor int32[2] [-3,-4], Tensor int32[2] [1,2]]
 * ```
 */
export class ReversibleLayer extends Layer {
  /** The native id of a layer that is none of the host's. */
  readonly #native: number | null = null;

  /**
   * Makes the layer.
   *
   * @param options - Options by name, see {@link LayerOptions}.
   */
  constructor(options?: LayerOptions);
  /** @internal */
  constructor(options?: LayerOptions | Adopted);
  constructor(options: LayerOptions | Adopted = {}) {
    const { reverseAndGrad, backward } = new.target.prototype;
    const own = reverseAndGrad !== ReversibleLayer.prototype.reverseAndGrad;
    const hasBackward = backward !== ReversibleLayer.prototype.backward;
    super(
      options instanceof Adopted
        ? options
        : ({ hasBackward, ...options, reversible: true, reverseAndGrad: own } as LayerOptions),
    );
    if (options instanceof Adopted) this.#native = options.made.id;
  }

  /**
   * Computes the inputs of a call from its outputs: the method that a class defines.
   *
   * @param output - The outputs: one tensor, or an array.
   * @param weights - Weights of the call.
   * @param state - State that the call began with.
   * @param newState - State that it left.
   * @param rng - Key of the call.
   * @returns The inputs: one tensor, or an array.
   * @throws `TypeError`: the class does not define it.
   * @throws {@link LayerError} `ShapeMismatch`: the outputs do not fit.
   * @example
   * ```ts
   * class Negate extends tl.ReversibleLayer {
   *   override forward(x: tl.Tensor) {
   *     return x.neg();
   *   }
   *   override reverse(y: tl.Tensor) {
   *     return y.neg();
   *   }
   * }
   * new Negate().reverse(tl.tensor([1, 2])); // → Tensor int32[2] [-1,-2]
   * ```
   */
  reverse(
    output: LayerOutputs,
    weights: Nest = [],
    state: Nest = [],
    newState: Nest = [],
    rng: Key | null = null,
  ): Tensor | readonly Tensor[] {
    const id = this.#native;
    if (id === null) {
      throw new TypeError(`${this.name} does not define reverse(output)`);
    }
    const call = encode([listOf<Tensor>(output), null, weights, state, newState], 'reverse');
    const [xs] = decode(native.layerReverse(id, call, words(rng))) as [Tensor[]];
    return unwrap(xs);
  }

  /**
   * Computes the inputs of a call from its outputs, and gradients from those of the outputs.
   *
   * By default the call is reversed, repeated and differentiated. A class may define it where both are cheaper together.
   *
   * @param output - The outputs: one tensor, or an array.
   * @param grad - Their gradients.
   * @param weights - Weights of the call.
   * @param state - State that the call began with.
   * @param newState - State that it left.
   * @param rng - Key of the call.
   * @returns `[inputs, [gradients of the inputs, gradients of the weights]]`.
   * @throws `TypeError`: the class does not define `reverse`.
   * @throws {@link LayerError} `ShapeMismatch`: the outputs or their gradients do not fit.
   * @example
   * ```ts
   * class Negate extends tl.ReversibleLayer {
   *   override forward(x: tl.Tensor) {
   *     return x.neg();
   *   }
   *   override reverse(y: tl.Tensor) {
   *     return y.neg();
   *   }
   * }
   * const [input, [gradient]] = new Negate().reverseAndGrad(tl.tensor([1.5]), tl.tensor([2.5]));
   * input; // → Tensor float32[1] [-1.5]
   * gradient; // → Tensor float32[1] [-2.5]
   * ```
   */
  reverseAndGrad(
    output: LayerOutputs,
    grad: LayerOutputs,
    weights: Nest = [],
    state: Nest = [],
    newState: Nest = [],
    rng: Key | null = null,
  ): [inputs: unknown, grads: [inputGrads: unknown, weightGrads: unknown]] {
    const id = this.#native;
    if (id !== null) {
      const call = encode([listOf<Tensor>(output), listOf<Tensor>(grad), weights, state, newState], 'reverseAndGrad');
      const [xs, of, ofWeights] = decode(native.layerReverse(id, call, words(rng))) as [Tensor[], Tensor[], Nest];
      return [unwrap(xs), [unwrap(of), ofWeights]];
    }
    const inputs = this.reverse(output, weights, state, newState, rng) as LayerOutputs;
    const call = (x: LayerOutputs, w: Nest): LayerOutputs => this.pureFn(x, w, state, rng)[0];
    const [, pullback] = vjp(call, inputs, weights);
    return [inputs, pullback(grad)];
  }

  /**
   * Computes gradients of the inputs and the weights from the outputs alone.
   *
   * @param _inputs - Inputs of the call; not used.
   * @param output - Its outputs.
   * @param grad - Gradients of the outputs.
   * @param weights - Weights of the call.
   * @param state - State that the call began with.
   * @param newState - State that it left.
   * @param rng - Key of the call.
   * @returns `[gradients of the inputs, gradients of the weights]`.
   * @throws `TypeError`: the class does not define `reverse`.
   * @throws {@link LayerError} `ShapeMismatch`: the outputs or their gradients do not fit.
   * @example
   * ```ts
   * class Negate extends tl.ReversibleLayer {
   *   override forward(x: tl.Tensor) {
   *     return x.neg();
   *   }
   *   override reverse(y: tl.Tensor) {
   *     return y.neg();
   *   }
   * }
   * const [x, y, grad] = [tl.tensor([-1.5]), tl.tensor([1.5]), tl.ones([1])];
   * const [gradient] = new Negate().backward(x, y, grad, [], [], [], tl.random.key(0));
   * gradient; // → Tensor float32[1] [-1]
   * ```
   */
  override backward(
    _inputs: LayerOutputs,
    output: LayerOutputs,
    grad: LayerOutputs,
    weights: Nest,
    state: Nest,
    newState: Nest,
    rng: Key,
  ): [inputGrads: unknown, weightGrads: unknown] {
    return this.reverseAndGrad(output, grad, weights, state, newState, rng)[1];
  }

  /** @internal */
  override driven(method: string, args: readonly unknown[], run: Run): unknown {
    if (method === 'reverse') {
      const [outputs, weights, state, newState, rng] = args as [Tensor[], Nest, Nest, Nest, Key];
      const inputs = run({ weights, state, rng }, () => this.reverse(unwrap(outputs), weights, state, newState, rng));
      return [listOf(inputs), null];
    }
    if (method === 'reverseAndGrad') {
      const [outputs, grads, ...rest] = args as [Tensor[], Tensor[], Nest, Nest, Nest, Key];
      const [weights, state, , rng] = rest;
      return run({ weights, state, rng }, () => {
        const [xs, [of, ofWeights]] = this.reverseAndGrad(unwrap(outputs), unwrap(grads), ...rest);
        return [listOf(xs), [listOf(of), ofWeights]];
      });
    }
    return super.driven(method, args, run);
  }
}

setReversibleClass(ReversibleLayer);
