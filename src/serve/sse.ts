/**
 * Outputs as events, while they are written.
 *
 * @module
 */
import { Readable } from 'node:stream';
import { type FastifyReply } from 'fastify';
import { bodyOf, Refusal, refusalOf } from './errors.js';
import { type Generation, type Part } from './generation.js';
import { type Limits } from './options.js';
import { type Scope } from './scope.js';

/** What streams of OpenAI's interface end with. */
const DONE = '[DONE]';
/** How often a reader is looked at. */
const LOOK_MS = 250;

/** Makes the objects that are sent of parts; of `undefined` those at the end. */
export type Chunks = (parts: readonly Part[] | undefined) => Iterable<object>;

/**
 * Ends a request whose reader takes nothing for too long, or leaves too much.
 *
 * Outputs are written on meanwhile, so that a slow reader keeps no place in the batch.
 */
function watched(reply: FastifyReply, scope: Scope, generation: Generation, limits: Limits): NodeJS.Timeout {
  let since: number | undefined;
  let sent = 0;
  return setInterval(() => {
    const { raw } = reply;
    const taken = raw.socket?.bytesWritten ?? 0;
    if (!raw.writableNeedDrain || taken !== sent) since = undefined;
    sent = taken;
    if (!raw.writableNeedDrain) return;
    since ??= performance.now();
    if (performance.now() - since < limits.stallMs && generation.unread <= limits.unreadTokens) return;
    scope.end(new Refusal(408, 'slow_reader', 'the reader of the stream takes too little'));
    raw.destroy();
  }, LOOK_MS);
}

/** Streams a generation. What fails before the first token is thrown, so that it gets a status. */
export async function streamOf(
  reply: FastifyReply,
  scope: Scope,
  generation: Generation,
  limits: Limits,
  chunks: Chunks,
  onError: (error: unknown) => void,
): Promise<void> {
  const first = await generation.read();
  async function* events(): AsyncGenerator<{ data: object } | string> {
    try {
      for (let parts = first; parts !== undefined; parts = await generation.read()) {
        for (const data of chunks(parts)) yield { data };
      }
      for (const data of chunks(undefined)) yield { data };
      yield DONE;
    } catch (error) {
      // The reader is gone.
      if (reply.raw.destroyed) return;
      const refusal = refusalOf(error, true);
      if (refusal.status === 500) onError(error);
      yield { data: bodyOf(refusal) };
    }
  }
  const timer = watched(reply, scope, generation, limits);
  try {
    await reply.sse.send(Readable.from(events()));
  } finally {
    clearInterval(timer);
  }
}
