/** Workers that have the package. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { root } from './process.js';

/** The package as built, as text within a program. */
export const dist = JSON.stringify(join(root, 'dist', 'index.js'));

const workers: Worker[] = [];

/** A worker that runs `body`, in which `tl`, `post` and `data` are. */
export function working(body: string, data: unknown): Worker {
  const source = `
    const tl = require(${dist});
    const { parentPort, workerData: data } = require('node:worker_threads');
    const post = (message) => parentPort.postMessage(message);
    ${body}`;
  const worker = new Worker(source, { eval: true, workerData: data });
  workers.push(worker);
  return worker;
}

/** Ends those that were made. */
export async function endWorkers(): Promise<void> {
  await Promise.all(workers.map((worker) => worker.terminate()));
}
