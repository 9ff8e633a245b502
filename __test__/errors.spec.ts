import test from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';

test('shapes that do not fit are a TensorError with a code, and the stack begins at the caller', (t) => {
  const error = t.throws(() => tl.tensor([1, 2]).add(tl.tensor([1, 2, 3])), { instanceOf: tl.TensorError });
  t.is(error?.code, 'ShapeMismatch');
  t.is(error?.name, 'TensorError');
  t.regex(error?.message ?? '', /add/);
  t.regex(error?.stack ?? '', /errors\.spec\.ts/);
});

test('arguments of the wrong type are a TypeError, outside their domain a RangeError', (t) => {
  const x = tl.tensor([1, 2]);
  t.throws(() => x.expandDims(wrong('a')), {
    instanceOf: TypeError,
    message: /^expandDims: axis must be a whole number, got the string "a"$/,
  });
  t.throws(() => x.expandDims(0.5), { instanceOf: RangeError, code: 'InvalidArgument' });
  t.throws(() => x.sum({ axis: 3 }), { instanceOf: RangeError, message: /axis 3/ });
  t.throws(() => x.reshape(wrong('ab')), { instanceOf: TypeError });
  t.throws(() => x.reshape([Number.NaN]), { instanceOf: RangeError });
  t.throws(() => x.broadcastTo([-1]), { instanceOf: RangeError });
  t.throws(() => x.add(wrong([1, 2])), {
    instanceOf: TypeError,
    message: /^add: other must be a Tensor, got an array;/,
  });
  t.throws(() => x.add(wrong(undefined)), { instanceOf: TypeError });
  t.throws(() => x.cast(wrong('float')), { instanceOf: TypeError, message: /float32/ });
  t.throws(() => tl.zeros([1], { device: 'tpu:0' }), { instanceOf: RangeError, message: /tpu:0/ });
  t.throws(() => tl.zeros([1], { device: 'cuda:0' }), { instanceOf: tl.TensorError, code: 'Device' });
});

test('item of several elements and iteration of a scalar are refused', (t) => {
  t.throws(() => tl.tensor([1, 2]).item(), { instanceOf: tl.TensorError, code: 'ShapeMismatch' });
  t.throws(() => [...tl.tensor(1)], { instanceOf: TypeError });
});

test('after an error the next result is right', (t) => {
  const x = tl.tensor([1, 2]);
  for (let i = 0; i < 100; i++) {
    t.throws(() => x.matmul(tl.zeros([3, 3])));
  }
  t.deepEqual(x.add(1).array(), [2, 3]);
});
