import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';

const live = (): number => tl.memory().tensors;

test.serial('a worker that ends, or is stopped in the middle, takes its tensors with it', async (t) => {
  const before = tl.memory().bytes;
  const binding = join(__dirname, '..', 'binding.cjs');
  const source = `
    const native = require(${JSON.stringify(binding)});
    native.connect((code, message) => new Error(message), () => {});
    for (let i = 0; i < 8; i++) native.full([65536], i, 0, null);
    require('node:worker_threads').parentPort.postMessage(native.memory()[0]);
    setInterval(() => native.full([65536], 1, 0, null), 1);
  `;
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(source, { eval: true });
    const handles = await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    t.is(handles, 8);
    await worker.terminate();
  }
  t.is(tl.memory().bytes, before);
});

test.serial('tidy disposes what it made and keeps what it returns', (t) => {
  const before = live();
  let inner: tl.Tensor | undefined;
  const result = tl.tidy(() => {
    inner = tl.tensor([1, 2]);
    return { y: [inner.mul(2)] };
  });
  t.is(live(), before + 1);
  t.true(inner!.isDisposed);
  t.deepEqual(result.y[0]!.array(), [2, 4]);
  tl.dispose(result);
  t.is(live(), before);
});

test.serial('an inner tidy hands its result to the outer one', (t) => {
  const before = live();
  tl.tidy(() => {
    const x = tl.tidy(() => tl.tensor([1]).add(1));
    t.deepEqual(x.array(), [2]);
  });
  t.is(live(), before);
});

test.serial('keep takes a tensor out of all open scopes', (t) => {
  let kept: tl.Tensor | undefined;
  tl.tidy(() => {
    const outer = tl.tensor([5]);
    tl.tidy(() => {
      kept = tl.keep(tl.tensor([3]));
      tl.keep(outer);
    });
    t.false(outer.isDisposed);
  });
  t.deepEqual(kept!.array(), [3]);
  kept!.dispose();
});

test.serial('tidy disposes everything when it throws, and refuses promises', (t) => {
  const before = live();
  t.throws(
    () =>
      tl.tidy(() => {
        tl.tensor([1]);
        throw new Error('mine');
      }),
    { message: 'mine' },
  );
  t.is(live(), before);
  t.throws(() => tl.tidy(async () => tl.tensor([1])), { instanceOf: TypeError, message: /promise/ });
  t.is(live(), before);
});

test('use after dispose throws; a second dispose does nothing', (t) => {
  const x = tl.tensor([1, 2]);
  t.deepEqual(x.shape, [2]);
  x.dispose();
  x.dispose();
  t.throws(() => x.add(1), { instanceOf: tl.DisposedError, code: 'Disposed' });
  t.throws(() => x.shape, { instanceOf: tl.DisposedError });
  t.throws(() => x.dataSync(), { instanceOf: tl.DisposedError });
  t.is(String(x), 'Tensor (disposed)');
});

test('using disposes at the end of the block', (t) => {
  let seen: tl.Tensor;
  {
    using x = tl.tensor([1]);
    seen = x;
  }
  t.true(seen.isDisposed);
});

test.serial('memory counts storages once and bytes exactly', (t) => {
  const before = tl.memory();
  const x = tl.zeros([1024]);
  const view = x.reshape([32, 32]);
  const now = tl.memory();
  t.is(now.bytes - before.bytes, 4096);
  t.is(now.storages - before.storages, 1);
  t.is(now.tensors - before.tensors, 2);
  t.true(now.peakBytes >= now.bytes);
  tl.dispose([x, view]);
  t.is(tl.memory().bytes, before.bytes);
  tl.resetPeakMemory();
  t.is(tl.memory().peakBytes, tl.memory().bytes);
});

test.serial('collected tensors are given back once the event loop turns', async (t) => {
  const before = live();
  for (let i = 0; i < 64; i++) {
    tl.zeros([1 << 20]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.true(live() - before < 60, `${live() - before} of 64 tensors are still there`);
});

test('the number of threads can be set; nonsense is refused', (t) => {
  const before = tl.numThreads();
  tl.setNumThreads(2);
  t.is(tl.numThreads(), 2);
  tl.setNumThreads(before);
  t.throws(() => tl.setNumThreads(0), { instanceOf: RangeError });
  t.throws(() => tl.setNumThreads(1.5), { instanceOf: RangeError });
  t.throws(() => tl.setNumThreads('2' as never), { instanceOf: TypeError });
});
