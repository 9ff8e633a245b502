/**
 * Work on the compute thread that a signal stops.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { type CancelSignal, checkSignal } from './types.js';

/**
 * Calls `work` with the number by which the addon stops the work when the signal is aborted; `null` without a signal.
 *
 * @throws `TypeError` for what is no signal, which `what` names
 * @throws The reason of a signal that was aborted before
 */
export async function withCancel<T>(
  what: string,
  signal: CancelSignal | undefined,
  work: (cancel: number | null) => Promise<T>,
): Promise<T> {
  checkSignal(what, signal);
  signal?.throwIfAborted();
  if (signal === undefined) return work(null);
  const cancel = native.newCancel();
  const onAbort = (): void => native.cancel(cancel);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await work(cancel);
  } finally {
    signal.removeEventListener('abort', onAbort);
    native.dropCancel(cancel);
  }
}
