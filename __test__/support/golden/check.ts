/** Runs cases, and holds what comes out against what is recorded. */
import * as tl from '../../../src/index.js';
import {
  type Json,
  type GivenTolerance,
  type Gradients,
  type Case,
  type Checksums,
  Missing,
  Accepted,
  type Module,
} from './case.js';
import {
  different,
  equal,
  close,
  closeNumber,
  flat,
  isTensor,
  tensorsIn,
  refilled,
  described,
  list,
} from './compare.js';
import { Evaluator } from './evaluate.js';
import { instanceOf, tensorsOf, wrong } from '../types.js';

function checkLayer(e: Evaluator): void {
  const it = e.it;
  const layer = e.layer();
  const { name, nIn, nOut, hasBackward } = layer;
  equal(
    'what it says of itself',
    { name, nIn, nOut, hasBackward },
    { name: it.name, nIn: it.nIn, nOut: it.nOut, hasBackward: it.hasBackward },
  );
  equal('text', layer.toString(), it.text);
  const signature = it.initInputs === undefined ? it.signature : e.arrays(it.initInputs).map((x) => tl.signature(x));
  const made = layer.init([signature].flat(9) as tl.Signature[], { rng: it.init.key });
  made.forEach((tree, i) => {
    const what = i === 0 ? 'weights' : 'state';
    equal(`tree of initial ${what}`, described(tree), i === 0 ? it.init.weightsTree : it.init.stateTree);
    if (what === 'state' && it.givenState) return;
    const found = tensorsIn(tree);
    if (it.brief) {
      checkSums(`initial ${what}`, found, it.init[`${what}Checksums`], it.init.tol);
      if (what === 'weights') checkSome('initial weight', e, found, it.init.someWeights ?? {}, it.init.tol);
      return;
    }
    equal(`number of initial ${what}`, found.length, it.init[what].length);
    it.init[what].forEach((array, k) => close(`initial ${what} ${k}`, found[k], e.array(array), it.init.tol));
  });
  const weights = it.brief ? made[0] : refilled(made[0], e.arrays(it.weights));
  let state = it.brief ? made[1] : refilled(made[1], e.arrays(it.givenState ? it.state : it.init.state));
  let stateTree = it.init.stateTree;
  it.steps.forEach((step, i) => {
    const at = `step ${i}:`;
    const inputs = e.arrays(step.inputs);
    const [outputs, newState] = layer.pureFn(inputs, weights, state, step.key);
    const [ys, wanted] = [list<tl.Tensor>(outputs), e.arrays(step.outputs)];
    equal(`${at} number of outputs`, ys.length, wanted.length);
    wanted.forEach((want, k) => close(`${at} output ${k}`, ys[k], want, it.tol));
    equal(
      `${at} declared signature`,
      [layer.outputSignature(inputs.map((x) => tl.signature(x)))].flat(),
      ys.map((y) => tl.signature(y)),
    );
    stateTree = step.stateTree ?? stateTree;
    equal(`${at} tree of state`, described(newState), stateTree);
    const states = tensorsIn(newState);
    if (it.brief) checkSums(`${at} state`, states, step.stateChecksums, it.tol);
    else step.state.forEach((array, k) => close(`${at} state ${k}`, states[k], e.array(array), it.tol));
    if (step.grad?.reconstructed !== undefined) {
      const grads = flat(step.grad.cotangents).map((name) => (name === null ? null : e.array(name)));
      const [outputs, cotangents] = ys.length === 1 ? [ys[0], grads[0]] : [ys, grads];
      const [back] = instanceOf(tl.ReversibleLayer, layer).reverseAndGrad(
        wrong(outputs),
        wrong(cotangents),
        weights,
        state,
        newState,
        step.key,
      );
      e.arrays(step.grad.reconstructed).forEach((want, k) =>
        close(`${at} input ${k} from outputs`, list(back)[k], want, it.tol),
      );
    }
    if (step.grad) checkGradients(e, layer, { inputs, weights, state, key: step.key }, step.grad, at);
    state = newState;
  });
}

interface Call {
  readonly inputs: tl.Tensor[];
  readonly weights: tl.Nest;
  readonly state: tl.Nest;
  readonly key: [number, number];
}

function checkGradients(e: Evaluator, layer: tl.Layer, call: Call, grad: Gradients, at: string): void {
  const f = (xs: tl.Tensor[], w: tl.Nest): tl.Tensor[] => [
    ...list<tl.Tensor>(layer.pureFn(xs, w, call.state, call.key)[0]),
  ];
  const [, pullback] = tl.vjp(f, call.inputs, call.weights);
  const found = pullback(flat(grad.cotangents).map((name) => (name === null ? null : e.array(name))));
  (['inputs', 'weights'] as const).forEach((what, i) => {
    const leaves = tl.tree.leaves<tl.Tensor | null>(found[i]!);
    if (what === 'weights' && e.it.brief) {
      checkSums(`${at} gradient of weights`, tensorsOf(leaves), grad.weightsChecksums, e.it.gradTol);
      return checkSome(`${at} gradient of weight`, e, leaves, grad.someWeights, e.it.gradTol);
    }
    const names = flat(grad[what]);
    equal(`${at} number of gradients of ${what}`, leaves.length, names.length);
    names.forEach((name, k) => {
      if (name === null) equal(`${at} gradient of ${what} ${k}`, leaves[k], null);
      else close(`${at} gradient of ${what} ${k}`, leaves[k], e.array(name), e.it.gradTol);
    });
  });
}

function compare(e: Evaluator, what: string, got: unknown, want: Json): void {
  if (Array.isArray(want)) {
    const items = got as unknown[];
    if (!Array.isArray(got) || got.length !== want.length)
      return different(`${what} is ${String(got)}, Trax gives ${want.length} values`);
    want.forEach((w, i) => compare(e, `${what}[${i}]`, items[i], w));
    return;
  }
  const { tensor, value } = want as { tensor?: string; value?: number | boolean | string | null };
  if (tensor !== undefined) return close(what, got, e.array(tensor), e.it.tol);
  // A tensor without axes stands for a number.
  const plain = isTensor(got) && got.size === 1 ? got.item() : got;
  if (typeof plain === 'number' && typeof value === 'number') closeNumber(what, plain, value, e.it.tol);
  else equal(what, plain, value);
}

function checkFunction(e: Evaluator): void {
  const it = e.it;
  compare(e, 'result', e.evaluate(it.expr), it.result);
  if (!it.grad) return;
  const { wrt, cotangents, grads } = it.grad;
  const run = (...xs: tl.Tensor[]): tl.Tensor[] => {
    const variables = new Map(wrt.map((name, i) => [name, xs[i]!]));
    return tensorsIn(new Evaluator(e.module, it, variables).evaluate(it.expr)).filter((y) => /float/.test(y.dtype));
  };
  const [, pullback] = tl.vjp(run, ...wrt.map((name) => e.array(name)));
  const found = pullback(e.arrays(cotangents));
  flat(grads).forEach((name, i) => close(`gradient ${i}`, found[i], e.array(name!), it.gradTol));
}

/** The case must be refused while it is built, initialized or called. */
function checkError(e: Evaluator): void {
  const it = e.it;
  try {
    const layer = e.evaluate(it.expr);
    if (layer instanceof tl.Layer && it.inputs !== undefined) {
      const signature = e.arrays(it.initInputs ?? it.inputs).map((x) => tl.signature(x));
      const [weights, state] = layer.init(signature, { rng: it.key });
      layer.pureFn(e.arrays(it.inputs), weights, state, it.key);
    }
  } catch (error) {
    const isPlain =
      error instanceof tl.LayerError ||
      error instanceof tl.TensorError ||
      error instanceof TypeError ||
      error instanceof RangeError;
    if (error instanceof Missing || !isPlain) throw error;
    equal('the message is empty', error.message === '', false);
    return;
  }
  throw new Accepted('Trax raises an error, this does not');
}

/** A loss whose gradient with respect to the weights is the batch. */
class GivenGradients extends tl.Layer {
  readonly first: readonly tl.Tensor[];
  constructor(first: readonly tl.Tensor[]) {
    super({ nIn: first.length });
    this.first = first;
  }
  override initWeightsAndState(): void {
    this.weights = this.first.map((w) => w.add(0));
  }
  override forward(gradients: tl.LayerOutputs): tl.Tensor {
    return tensorsOf(this.weights)
      .map((w, i) => w.mul(list<tl.Tensor>(gradients)[i]!).sum())
      .reduce((a, b) => a.add(b));
  }
}

function checkOptimizer(e: Evaluator): void {
  const it = e.it;
  const layer = new GivenGradients(e.arrays(it.weights));
  layer.init(
    it.weights.map((name) => tl.signature(e.array(name))),
    { rng: [0, 1] },
  );
  const trainer = new tl.Trainer(layer, e.evaluate(it.expr) as tl.Optimizer);
  it.steps.forEach((step, i) => {
    const [, stats] = trainer.oneStep(e.arrays(step.grads), [0, i], { step: step.step });
    const weights = tensorsIn(layer.weights);
    step.weights.forEach((name, k) => close(`step ${i}: weight ${k}`, weights[k], e.array(name), it.tol));
    const slots = tensorsIn(trainer.slots);
    equal(`step ${i}: number of slots`, slots.length, step.slots.length);
    step.slots.forEach((name, k) => close(`step ${i}: slot ${k}`, slots[k], e.array(name), it.tol));
    closeNumber(`step ${i}: norm of the gradients`, stats.gradientsL2, step.metrics.gradients_l2, {
      rtol: 1e-5,
      atol: 0,
    });
    closeNumber(`step ${i}: norm of the weights`, stats.weightsL2, step.metrics.weights_l2, { rtol: 1e-5, atol: 0 });
  });
}

function checkSchedule(e: Evaluator): void {
  const rate = e.evaluate(e.it.expr) as tl.Schedule;
  // Trax computes rates in float32, which loses digits of large steps.
  e.it.points.forEach(([step, want]) => closeNumber(`rate at ${step}`, rate(step), want, { rtol: 5e-5, atol: 1e-9 }));
}

/** Holds sums against those of arrays whose every element may be off by the tolerance; integers must add up. */
function checkSums(
  what: string,
  got: readonly tl.Tensor[],
  want: readonly Checksums[],
  tolerance: GivenTolerance,
): void {
  equal(`number of ${what}`, got.length, want.length);
  got.forEach((x, i) => {
    const { shape, sum, sumAbs, sumSquares } = want[i]!;
    equal(`shape of ${what} ${i}`, x.shape, shape);
    const { rtol, atol } = tolerance === 0 || !/float/.test(x.dtype) ? { rtol: 0, atol: 0 } : tolerance;
    const wide = x.cast('float64');
    // Values of either sign may cancel, so a sum is only as good as the sizes of what it is made of.
    const absolute = { rtol: 0, atol: rtol * sumAbs + atol * x.size };
    closeNumber(`sum of ${what} ${i}`, wide.sum().item(), sum, absolute);
    closeNumber(`sizes of ${what} ${i}`, wide.abs().sum().item(), sumAbs, absolute);
    // Squares of keys need more digits than a float64 has.
    const squares = { rtol: 2 * rtol + 1e-12, atol: 2 * atol * sumAbs + atol * atol * x.size };
    closeNumber(`squares of ${what} ${i}`, wide.square().sum().item(), sumSquares, squares);
  });
}

/** Holds those arrays of a list against the case's that it keeps. */
function checkSome(
  what: string,
  e: Evaluator,
  got: readonly unknown[],
  want: { readonly [index: string]: string },
  tolerance: GivenTolerance,
): void {
  Object.entries(want).forEach(([index, name]) =>
    close(`${what} ${index}`, got[Number(index)], e.array(name), tolerance),
  );
}

/**
 * Weights, by case, whose gradient is rounding alone, and whose optimizer makes steps of one size of it: a bias before `BatchNorm`, which takes
 * every constant away.
 */
const ofRounding: Readonly<Record<string, readonly number[]>> = { 'MlpSM3-1': [1] };

function checkTraining(e: Evaluator): void {
  const { it } = e;
  const optimizer = e.evaluate(it.optimizer) as tl.Optimizer;
  const model = tl.Serial(e.evaluate(it.model) as tl.Layer, e.evaluate(it.loss) as tl.Layer);
  equal('text', model.toString(), it.text);
  model.init(
    e.arrays(it.batches[0]!).map((x) => tl.signature(x)),
    { rng: it.init.key },
  );
  checkSums('initial weights', tensorsIn(model.weights), it.init.weightsChecksums, { rtol: 1e-4, atol: 1e-6 });
  const trainer = new tl.Trainer(model, optimizer);
  const { rtol } = it.tol as { rtol: number };
  it.losses.forEach((want, step) => {
    const [loss] = trainer.oneStep(e.arrays(it.batches[step]!), it.keys[step]!, { step });
    closeNumber(`loss of step ${step}`, loss, want, it.tol);
  });
  // The bias of a key has no gradient but rounding, which Adam makes visible.
  const counts = (_: unknown, i: number): boolean => ofRounding[it.id]?.includes(i) !== true;
  const final = tensorsIn(model.weights);
  equal('number of weights', final.length, it.finalWeightsChecksums.length);
  checkSums('final weights', final.filter(counts), it.finalWeightsChecksums.filter(counts), { rtol, atol: 2e-5 });
}

const checks = {
  layer: checkLayer,
  function: checkFunction,
  error: checkError,
  optimizer: checkOptimizer,
  schedule: checkSchedule,
  training: checkTraining,
};

/** Builds and runs a case; throws what does not come out as recorded. */
export function checkCase(module: Module, it: Case): void {
  tl.tidy(() => {
    checks[it.kind](new Evaluator(module, it));
  });
}
