import test from 'ava';
import * as tl from '../src/index.js';
import { values } from './support/values.js';
import { tensorOf, tensorsOf, wrong } from './support/types.js';

const f64 = (x: tl.Tensor | tl.Nested): tl.Tensor =>
  x instanceof tl.Tensor ? x.cast('float64') : tl.tensor(x, null, { dtype: 'float64' });

const mixed = (x: tl.Tensor, w: tl.Tensor): tl.Tensor =>
  x
    .matmul(w)
    .add(x.sum({ axis: -1, keepdims: true }))
    .softmax()
    .square()
    .sum();

const pair = (p: { a: tl.Tensor; b: tl.Tensor[] }, n: tl.Tensor): tl.Tensor[] => [p.a.mul(p.b[0]!), p.a.add(n)];

const withAux = (x: tl.Tensor, y: tl.Tensor): [tl.Tensor, { kept: tl.Tensor }] => [x.mul(y).sum(), { kept: x.add(y) }];

test('grad of a polynomial', (t) => {
  const slope = tl.grad((x: tl.Tensor) => x.pow(3).sub(x.mul(2)).sum())(f64([1, -2]));
  t.deepEqual(slope.array(), [1, 10]);
  t.is(slope.dtype, 'float64');
});

test('gradients match central differences through broadcasting, matmul and softmax', (t) => {
  const x = [
    [0.3, -0.7],
    [1.1, 0.4],
  ];
  const w = [
    [0.5, -1.5, 0.2],
    [0.9, 0.1, -0.4],
  ];
  const [value, [dx, dw]] = tl.valueAndGrad(mixed, { argnums: [0, 1] })(f64(x), f64(w));
  const at = (xs: number[][], ws: number[][]): number => mixed(f64(xs), f64(ws)).item();
  t.is(value.item(), at(x, w));
  const check = (analytic: tl.Tensor, matrix: number[][], value: (m: number[][]) => number): void => {
    const h = 1e-5;
    (analytic.array() as number[][]).forEach((row, i) =>
      row.forEach((g, j) => {
        const bump = (d: number): number[][] => matrix.map((r, k) => r.map((v, l) => (k === i && l === j ? v + d : v)));
        const numeric = (value(bump(h)) - value(bump(-h))) / (2 * h);
        t.true(Math.abs(g - numeric) < 1e-8, `[${i},${j}]: ${g} against ${numeric}`);
      }),
    );
  };
  check(dx, x, (m) => at(m, w));
  check(dw, w, (m) => at(x, m));
});

test('vjp of nested arguments and outputs; integers get null', (t) => {
  const [outputs, pullback] = tl.vjp(pair, { a: tl.tensor([2.5]), b: [tl.tensor([4.5])] }, tl.tensor([3]));
  t.deepEqual(
    tensorsOf(outputs).map((y) => y.array()),
    [[11.25], [5.5]],
  );
  const [dp, dn] = pullback([
    tl.tensor([1.0], null, { dtype: 'float32' }),
    tl.tensor([10], null, { dtype: 'float32' }),
  ]);
  t.deepEqual(dp.a!.array(), [14.5]);
  t.deepEqual(dp.b[0]!.array(), [2.5]);
  t.is(dn, null);
  const [again] = pullback([tl.tensor([2], null, { dtype: 'float32' }), null]);
  t.deepEqual(again.a!.array(), [9]);
});

test('a value of any shape is differentiated as the sum of its elements', (t) => {
  const x = [
    [1.5, 2, -1],
    [0.5, 3, 4],
  ];
  t.deepEqual(
    tl
      .grad((a) => a.square())([1.5, 2])
      .array(),
    [3, 4],
  );
  t.deepEqual(
    tl
      .grad((a) => a.mul(a).mul(tl.tensor([1, 2, 3])))(x)
      .array(),
    tl
      .grad((a) =>
        a
          .mul(a)
          .mul(tl.tensor([1, 2, 3]))
          .sum(),
      )(x)
      .array(),
  );
  const [value, gradient] = tl.valueAndGrad((a) => a.square())([3, -1]);
  t.deepEqual(
    [value.array(), gradient.array()],
    [
      [9, 1],
      [6, -2],
    ],
  );
  const [[rows, aux], g] = tl.valueAndGrad((a: tl.Tensor) => [a.sum(0), 'aux'] as const, { hasAux: true })(x);
  t.deepEqual([rows.shape, aux, g.array()], [[3], 'aux', tl.ones([2, 3]).array()]);
  t.deepEqual(tl.grad((a) => a.exp())(tl.zeros([0])).shape, [0]);
});

test('hasAux, negative argnums', (t) => {
  const [[value, aux], g] = tl.valueAndGrad(withAux, { argnums: -1, hasAux: true })(f64([2]), f64([5]));
  t.is(value.item(), 10);
  t.deepEqual(aux.kept.array(), [7]);
  t.deepEqual(g.array(), [2]);
});

test('stopGradient cuts; what nothing depends on gets zeros', (t) => {
  const g = tl.grad((x: tl.Tensor) => x.stopGradient().mul(x).sum())(f64([3]));
  t.deepEqual(g.array(), [3]);
  const zero = tl.grad((_x: tl.Tensor) => tl.tensor(1.5))(f64([3]));
  t.deepEqual(zero.array(), [0]);
});

test('outputs handed out are constants, so a kept loss holds no graph', (t) => {
  const before = tl.memory().bytes;
  const loss = tl.tidy(() => tl.valueAndGrad((x: tl.Tensor) => x.exp().sum())(tl.zeros([1 << 16]))[0]);
  t.true(tl.memory().bytes - before < 1024);
  t.is(loss.item(), 65536);
});

test('a gradient inside a differentiated function: the value passes, the gradient is refused', (t) => {
  const c = f64([2]);
  const inner = (w: tl.Tensor): [tl.Tensor, tl.Tensor] => tl.valueAndGrad((x: tl.Tensor) => x.mul(w).square().sum())(c);
  const g = tl.grad((w: tl.Tensor) => inner(w)[0])(f64([3]));
  t.deepEqual(g.array(), [24]);
  t.throws(() => tl.grad((w: tl.Tensor) => inner(w)[1].sum())(f64([3])), {
    code: 'Autodiff',
    message: /second derivative/,
  });
});

test('what cannot be differentiated is refused in plain words', (t) => {
  t.throws(() => tl.grad((x: tl.Tensor) => x.gt(1))(f64([1, 2])), { code: 'DTypeMismatch', message: /bool\[2\]/ });
  t.throws(() => tl.grad((x: tl.Tensor) => x.sum())(tl.tensor([1])), { instanceOf: TypeError, message: /float/ });
  t.throws(() => tl.grad((x: tl.Tensor) => x.sum(), { argnums: 1 })(f64([1])), { instanceOf: RangeError });
  t.throws(() => tl.grad(wrong(async (x: tl.Tensor) => x))(f64([1])), {
    instanceOf: TypeError,
    message: /promise/,
  });
  t.throws(() => tl.grad(wrong(3)), { instanceOf: TypeError });
  const mine = new Error('mine');
  const thrown = t.throws(() =>
    tl.grad((_x: tl.Tensor): tl.Tensor => {
      throw mine;
    })(f64([1])),
  );
  t.is(thrown, mine);
});

test('trees', (t) => {
  const tree = { a: [1, [2]], b: 3 };
  t.deepEqual(tl.tree.leaves(tree), [1, 2, 3]);
  const [leaves, structure] = tl.tree.flatten<number>(tree);
  t.deepEqual(
    tl.tree.unflatten(
      structure,
      leaves.map((x) => x * 2),
    ),
    { a: [2, [4]], b: 6 },
  );
  t.deepEqual(
    tl.tree.map((x: number, y: number) => x + y, tree, tree),
    { a: [2, [4]], b: 6 },
  );
  t.throws(() => tl.tree.map((x: number) => x, tree, [1]), { instanceOf: TypeError });
  t.throws(() => tl.tree.unflatten(structure, [1]), { instanceOf: RangeError });
});

/** A layer with a backward of its own, whose outputs are twice and three times its weight times the input. */
class Twice extends tl.Layer {
  constructor() {
    super({ nIn: 1, nOut: 2, name: 'Twice' });
  }
  override initWeightsAndState(): void {
    this.weights = tl.tensor([1.5, -0.5, 2, 0.25]);
  }
  override forward(x: tl.Tensor): tl.Tensor[] {
    const y = x.mul(tensorOf(this.weights));
    return [y.mul(2), y.mul(3)];
  }
  override backward(x: tl.Tensor, _outputs: tl.LayerOutputs, grads: tl.LayerOutputs, w: tl.Nest): [tl.Tensor, tl.Nest] {
    const [a, b] = grads;
    const g = a!.mul(2).add(b!.mul(3));
    return [g.mul(tensorOf(w)), g.mul(x).sum(0)];
  }
}

const half = (): tl.Layer => tl.ReversibleHalfResidual(tl.Dense(4), tl.Tanh());

test('outputs of a layer that nothing depends on have cotangents of zeros', (t) => {
  const { normal, key } = tl.random;
  const cases: [string, tl.Layer, number[][]][] = [
    ['Split', tl.Serial(tl.Dense(6), tl.Split({ nItems: 3 })), [[2, 4]]],
    ['Branch', tl.Branch(tl.Dense(2), tl.Tanh(), tl.Dense(3)), [[2, 4]]],
    [
      'Parallel',
      tl.Parallel(tl.Dense(2), tl.Sigmoid()),
      [
        [2, 4],
        [3, 2],
      ],
    ],
    ['Fn', tl.Fn('Three', (x: tl.Tensor) => [...x.split([1], 1), x.exp()], { nOut: 3 }), [[2, 4]]],
    [
      'LSTMCell',
      tl.LSTMCell(4),
      [
        [2, 4],
        [2, 8],
      ],
    ],
    [
      'Scan',
      tl.Scan(tl.LSTMCell(4), { axis: 1 }),
      [
        [2, 3, 4],
        [2, 8],
      ],
    ],
    [
      'Scan, made anew',
      tl.Scan(tl.LSTMCell(4), { axis: 1, remat: true }),
      [
        [2, 3, 4],
        [2, 8],
      ],
    ],
    [
      'ReversibleSerial',
      tl.ReversibleSerial(half(), tl.ReversibleSwap(), half()),
      [
        [2, 4],
        [2, 4],
      ],
    ],
    ['Accelerate', tl.Accelerate(tl.Serial(tl.Dense(6), tl.Split({ nItems: 3 })), { nDevices: 2 }), [[5, 4]]],
    ['a backward of its own', new Twice(), [[3, 4]]],
    [
      'a backward of its own, inside',
      tl.Serial(tl.Dense(4), new Twice(), tl.Parallel(tl.Dense(2), tl.Dense(3))),
      [[3, 4]],
    ],
  ];
  for (const [name, layer, shapes] of cases) {
    const inputs = shapes.map((shape, i) => normal(key(i), shape));
    const [weights, state] = layer.init(shapes.length === 1 ? tl.signature(inputs[0]!) : tl.signature(inputs), {
      rng: key(5),
    });
    const run = (xs: tl.Tensor[], ws: tl.Nest): tl.Tensor[] =>
      tensorsOf(layer.pureFn(wrong(xs.length === 1 ? xs[0] : xs), ws, state, key(6))[0]);
    const [ys, pullback] = tl.vjp(run, inputs, weights) as [
      tl.Tensor[],
      (cts: (tl.Tensor | null)[]) => tl.Tree<tl.Tensor>[],
    ];
    const cts = ys.map((y, i) => normal(key(20 + i), y.shape));
    for (let used = 1; used < 2 ** ys.length - 1; used++) {
      const is = (i: number): boolean => ((used >> i) & 1) === 1;
      const got = tensorsOf(tl.tree.leaves(pullback(cts.map((ct, i) => (is(i) ? ct : null)))));
      const want = tensorsOf(tl.tree.leaves(pullback(cts.map((ct, i) => (is(i) ? ct : tl.zerosLike(ct))))));
      t.is(got.length, want.length);
      got.forEach((g, i) => {
        const off = g.sub(want[i]!).abs().max().item();
        t.true(off < 1e-6, `${name}, outputs ${used.toString(2)}: gradient ${i} is off by ${off}`);
      });
    }
  }
});

test('a step of a model that drops outputs has the gradient of what is left', (t) => {
  const w = f64([[1, 2, 3, 4, 5, 6]]);
  const g = tl.grad((v: tl.Tensor) => v.exp().split([2, 3], -1)[1]!.sum())(w);
  t.deepEqual(
    (g.array() as number[][])[0]!.map((v) => Math.round(v * 1e4) / 1e4),
    [0, 0, 20.0855, 0, 0, 0],
  );
});

test('plain data may stand for the arguments to differentiate by; numbers are float32 then, whole ones too', (t) => {
  const squares = tl.grad((x) => x.square().sum());
  const before = tl.memory().tensors;
  const gradients = tl.tidy(() =>
    [squares([1.5, 2]), squares([1, 2]), squares(3), squares(Float64Array.of(2))].map((g) => [g.dtype, g.array()]),
  );
  t.deepEqual(gradients, [
    ['float32', [3, 4]],
    ['float32', [2, 4]],
    ['float32', 6],
    ['float64', [4]],
  ]);
  t.is(tl.memory().tensors, before, 'the tensors made of the data are gone');
  const weighted = tl.grad((p: { w: tl.Tensor; rest: readonly tl.Tensor[] }, x: tl.Tensor) => p.w.mul(x).sum());
  t.deepEqual(values(weighted({ w: [1, 2], rest: [] }, tl.tensor([3, 4]))), { w: [3, 4], rest: [] });
  t.throws(() => tl.grad((x) => x.sum())(Int32Array.of(1)), { message: /float tensors only/ });
  const endless: tl.TensorData[] = [];
  endless.push(endless);
  t.throws(() => tl.grad((x) => x.sum())(endless), { message: /grad: argument 0 holds itself/ });
});
