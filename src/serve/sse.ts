/**
 * Outputs as events, while they are written.
 *
 * @module
 */
import { type FastifyReply } from 'fastify';
import { bodyOf, Refusal, refusalOf } from './errors.js';
import { type Generation, type Part } from './generation.js';
import { type Limits } from './options.js';
import { type Pace } from './pace.js';
import { type Scope } from './scope.js';

/** What streams of OpenAI's interface end with. */
const DONE = '[DONE]';
/** How often a reader is looked at. */
const LOOK_MS = 250;

/** Makes what is sent of parts, as JSON; of `undefined` what is sent at the end. */
export type Chunks = (parts: readonly Part[] | undefined) => Iterable<string>;

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
    if (performance.now() - since < limits.stallMs && generation.parts.unread <= limits.unreadTokens) return;
    scope.end(new Refusal(408, 'slow_reader', 'the reader of the stream takes too little'));
    raw.destroy();
  }, LOOK_MS);
}

/** What a stream is sent with. */
interface Means {
  readonly scope: Scope;
  readonly limits: Limits;
  readonly pace: Pace;
  readonly onError: (error: unknown) => void;
}

/** What is sent of a generation, in its order; `undefined` where nothing is there yet. */
function* eventsOf({ parts }: Generation, chunks: Chunks, onError: Means['onError']): Generator<string | undefined> {
  try {
    for (let some = parts.take(); some !== undefined; some = parts.take()) {
      if (some.length === 0) yield undefined;
      else yield* chunks(some);
    }
    yield* chunks(undefined);
    yield DONE;
  } catch (error) {
    const refusal = refusalOf(error, true);
    if (refusal.status === 500) onError(error);
    yield JSON.stringify(bodyOf(refusal));
  }
}

/** Sends what there is whenever the stream may write, until all is sent or the reader is gone. */
function sent(
  { raw, sse }: FastifyReply,
  parts: Generation['parts'],
  events: Iterator<string | undefined>,
  pace: Pace,
) {
  return new Promise<void>((resolve) => {
    let last = -Infinity;
    const write = (): void => {
      if (raw.destroyed || !sse.isConnected) return resolve();
      last = performance.now();
      // What is sent in one turn of the event loop is written to the connection together.
      while (!raw.writableNeedDrain) {
        const { done, value } = events.next();
        if (done === true) return resolve();
        if (value === undefined) return;
        void sse.send(value);
      }
    };
    raw.on('drain', write);
    sse.onClose(resolve);
    parts.listen(() => (parts.isClosed ? pace.soon(write) : pace.ask(write, last)));
  });
}

/** Streams a generation. What fails before the first token is thrown, so that it gets a status. */
export async function streamOf(
  reply: FastifyReply,
  generation: Generation,
  chunks: Chunks,
  { scope, limits, pace, onError }: Means,
): Promise<void> {
  await generation.parts.some();
  // The library keeps all connections, also for who asked to have it closed.
  if (/\bclose\b/i.test(reply.request.headers.connection ?? '')) reply.header('connection', 'close');
  const timer = watched(reply, scope, generation, limits);
  try {
    await sent(reply, generation.parts, eventsOf(generation, chunks, onError), pace);
  } finally {
    clearInterval(timer);
  }
}
