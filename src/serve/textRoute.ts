/**
 * How a request for text is answered: whole, or as a stream.
 *
 * @module
 */
import { type FastifyReply } from 'fastify';
import { type Asked, Generation } from './generation.js';
import { type OutputMetrics } from './metrics.js';
import { type Limits } from './options.js';
import { type Pace } from './pace.js';
import { type TextBody } from './schema.js';
import { type Scope } from './scope.js';
import { type Chunks, streamOf } from './sse.js';
import { type Writer } from './writer.js';

/** A kind of text: how it is asked for, and the form of its answers. */
export interface TextRoute<Body extends TextBody> {
  /** What a body asks the model to write. */
  ask(writer: Writer, body: Body, limits: Limits): Promise<Asked>;
  /** The answer, once all is written. */
  whole(writer: Writer, body: Body, asked: Asked, generation: Generation): Promise<object>;
  /** The objects of a stream. */
  chunks(writer: Writer, body: Body, asked: Asked, generation: Generation): Chunks;
}

/** What a request is answered with. */
interface Means {
  readonly writer: Writer;
  readonly scope: Scope;
  readonly limits: Limits;
  readonly pace: Pace;
  readonly metrics: OutputMetrics;
  readonly onError: (error: unknown) => void;
}

/** Answers a request. @returns the answer; nothing where it was streamed */
export async function answer<Body extends TextBody>(
  route: TextRoute<Body>,
  body: Body,
  reply: FastifyReply,
  { writer, scope, limits, pace, metrics, onError }: Means,
): Promise<object | undefined> {
  const asked = await route.ask(writer, body, limits);
  using generation = await Generation.begin(writer, asked, scope, metrics);
  if (body.stream !== true) return await route.whole(writer, body, asked, generation);
  const chunks = route.chunks(writer, body, asked, generation);
  await streamOf(reply, generation, chunks, { scope, limits, pace, onError });
  return undefined;
}
