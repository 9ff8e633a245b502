/** Threads and ports: what an app with several of them does to the package. */
import { join } from 'node:path';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import test from 'ava';
import * as tl from '../../src/index.js';
import { run } from '../support/process.js';

interface Held {
  readonly tensors: number;
  readonly layers: number;
  readonly bytes: number;
  readonly rss: number;
}

test('64 workers that are ended in mid-training leave nothing behind', async (t) => {
  t.timeout(300_000);
  const script = join(__dirname, 'support', 'endingWorkers.cjs');
  const { code, output } = await run(process.execPath, ['--expose-gc', script]);
  t.is(code, 0, output);
  const { before, after, sum } = JSON.parse(output) as { before: Held; after: Held; sum: number };
  const { tensors, layers, bytes } = after;
  t.deepEqual({ tensors, layers, bytes }, { tensors: 0, layers: 0, bytes: 0 });
  // A worker that stayed would keep an isolate of V8, of more than 4 MiB.
  t.true(after.rss - before.rss < 64 * 2 ** 20, output);
  t.is(sum, 6, 'and the package computes on');
});

/** The buffer of a typed array, which is its own: no thread shares it. */
function bufferOf(numbers: unknown): ArrayBuffer {
  if (ArrayBuffer.isView(numbers) && numbers.buffer instanceof ArrayBuffer) return numbers.buffer;
  throw new TypeError('a tensor gives a typed array over a buffer of its own');
}

test('what a tensor gives is handed over by a port without a copy, and the tensor stays', (t) => {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const x = tl.tensor([[1, 2], [3, 4]], null, { dtype: 'float32' }); // prettier-ignore
  const numbers = x.dataSync();
  port1.postMessage(numbers, [bufferOf(numbers)]);
  t.is(numbers.length, 0, 'the buffer has gone');
  const received = receiveMessageOnPort(port2)?.message as Float32Array;
  t.deepEqual(received, Float32Array.of(1, 2, 3, 4));
  t.deepEqual(tl.tensor(received, [2, 2]).array(), [[1, 2], [3, 4]]); // prettier-ignore
  t.deepEqual(x.array(), [[1, 2], [3, 4]]); // prettier-ignore

  for (const dtype of ['int32', 'uint8', 'float64'] as const) {
    const sent = tl.ones([3], { dtype }).dataSync();
    port1.postMessage(sent, [bufferOf(sent)]);
    t.is(sent.length, 0, dtype);
    t.is(String(receiveMessageOnPort(port2)?.message), '1,1,1', dtype);
  }
});

test('what structured clone makes of numbers is what a page gets: plain typed arrays', (t) => {
  const cloned = structuredClone(tl.arange(3).cast('float32').dataSync());
  t.deepEqual(cloned, Float32Array.of(0, 1, 2));
});
