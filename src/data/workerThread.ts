/**
 * The program of a thread that makes the elements of a dataset.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { callable, found } from '../bridge/found.js';
import { prefetched } from './ahead.js';
import { sent } from './crossing.js';
import { END, type Cursor, type State } from './cursor.js';
import { Dataset } from './dataset.js';
import { DataError, refused, thrownAt } from './errors.js';
import { type Message, STEP, type Task } from './messages.js';

/** The dataset that the module gives. */
async function made({ url, argument }: Task): Promise<Dataset<unknown>> {
  const module: unknown = await import(url);
  let f: unknown = module;
  // What CommonJS exports is the default of a default.
  for (let i = 0; i < 2 && typeof f === 'object' && f !== null && 'default' in f; i += 1) f = f.default;
  const make = callable<unknown>(`the default export of ${url}`, f);
  const dataset: unknown = typeof make === 'function' ? await make(argument) : undefined;
  if (dataset instanceof Dataset) return dataset;
  throw refused(
    STEP,
    undefined,
    'InvalidArgument',
    `the function of ${url} must give a dataset, got ${found(dataset)}`,
  );
}

/** An error as it crosses. */
function failed(error: unknown): Message {
  const placed = thrownAt(STEP, undefined, error);
  const { code, step, element, cause } = placed;
  const what = placed.message.slice(placed.message.indexOf(': ') + 2);
  const kept = cause instanceof Error ? Object.assign(new Error(cause.message), { stack: cause.stack }) : undefined;
  return { kind: 'error', code, text: what, step, element, cause: kept };
}

async function run(task: Task, tell: (message: Message, moved?: ArrayBuffer[]) => void): Promise<void> {
  let room = task.ahead;
  let wake: (() => void) | undefined;
  parentPort?.on('message', () => {
    room += 1;
    wake?.();
  });
  let cursor: Cursor<unknown> | undefined;
  let last: unknown;
  const behind = (state: State): { from: State | null; skip: number } => {
    const { from, skip } = state;
    const told = from === last ? null : from;
    last = from;
    return { from: told as State | null, skip: Number(skip) };
  };
  try {
    const plan = Dataset.planOf(await made(task));
    const ahead = { ...prefetched(plan, task.ahead, STEP) };
    cursor = await ahead.open(task.from ?? undefined, task.epochs);
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      if (room === 0) await new Promise<void>((resolve) => (wake = resolve));
      // One after another: they stand in a row.
      // oxlint-disable-next-line no-await-in-loop
      const x = await cursor.next();
      if (x === END) return void tell({ kind: 'end', ...behind(cursor.state()) });
      room -= 1;
      const [element, moved] = sent(x);
      tell({ kind: 'element', element, ...behind(cursor.state()) }, moved);
    }
  } catch (error) {
    tell(failed(error instanceof DataError ? error : thrownAt(STEP, undefined, error)));
  } finally {
    await cursor?.close();
  }
}

const port = parentPort;
if (port !== null) {
  void run(workerData as Task, (message, moved = []) => port.postMessage(message, moved));
}
