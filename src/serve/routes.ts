/**
 * The routes of a server.
 *
 * @module
 */
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { isRecord, shown } from '../bridge/found.js';
import { keyCheck } from './auth.js';
import { chat } from './chat.js';
import { completions } from './completions.js';
import { bodyOf, Refusal, refusalOf, shuttingDown } from './errors.js';
import { type Hosts } from './hosts.js';
import { type Metrics, type OutputMetrics } from './metrics.js';
import { type Limits } from './options.js';
import { type Pace } from './pace.js';
import {
  CHAT,
  type ChatBody,
  COMPLETION,
  type CompletionBody,
  PREDICT,
  type PredictBody,
  type TextBody,
} from './schema.js';
import { type Scopes } from './scope.js';
import { answer, type TextRoute } from './textRoute.js';

/** Routes that need no key: those who watch a server have none. */
const OPEN: ReadonlySet<string> = new Set(['/health', '/ready']);

/** What routes of requests use. */
interface Means {
  readonly hosts: Hosts;
  readonly scopes: Scopes;
  readonly limits: Limits;
  readonly pace: Pace;
  readonly metrics: Metrics;
  readonly onError: (error: unknown) => void;
}

/** Answers with a refusal. */
export const send = (reply: FastifyReply, refusal: Refusal): FastifyReply => {
  if (refusal.retryAfter !== undefined) reply.header('retry-after', refusal.retryAfter);
  if (refusal.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply.code(refusal.status).send(bodyOf(refusal));
};

/** Errors in OpenAI's form. */
export function addErrors(app: FastifyInstance, onError: (error: unknown) => void): void {
  app.setErrorHandler((error, _, reply) => {
    const refusal = refusalOf(error);
    if (refusal.status === 500) onError(error);
    return send(reply, refusal);
  });
  app.setNotFoundHandler((request, reply) =>
    send(reply, new Refusal(404, 'not_found', `there is no ${request.method} ${shown(request.url.split('?')[0]!)}`)),
  );
}

/** Asks for a key, if there are any. */
export function addKeys(app: FastifyInstance, keys: readonly string[]): void {
  if (keys.length === 0) return;
  const check = keyCheck(keys);
  app.addHook('onRequest', async (request) => {
    if (!OPEN.has(request.routeOptions.url ?? '')) check(request.headers.authorization);
  });
}

/** Counts requests, and tells of it. */
export function addMetrics(app: FastifyInstance, isShown: boolean, metrics: Metrics): void {
  app.addHook('onResponse', async (request, reply) => {
    metrics.answered(request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1000);
  });
  if (!isShown) return;
  app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
}

/** What tells how the server is, and what models it has. */
export function addState(app: FastifyInstance, hosts: Hosts, scopes: Scopes): void {
  app.get('/health', async (_, reply) => {
    const status = hosts.state === 'ready' && scopes.isClosing ? 'draining' : hosts.state;
    return reply.code(hosts.state === 'ready' ? 200 : 503).send({ status });
  });
  app.get('/ready', async (_, reply) => {
    const isReady = hosts.state === 'ready' && !scopes.isClosing && !hosts.isFull;
    return reply.code(isReady ? 200 : 503).send({ ready: isReady });
  });
  app.get('/v1/models', async () => ({ object: 'list', data: hosts.shownAll() }));
  app.get<{ Params: { '*': string } }>('/v1/models/*', async ({ params }) => hosts.shown(params['*']));
}

/** Refuses what comes while the server ends. */
function checkOpen(scopes: Scopes): void {
  if (scopes.isClosing) throw shuttingDown('the server ends; try again in a moment');
}

/** Refuses a body that is no object before its fields are looked at. */
async function checkBody({ body }: FastifyRequest): Promise<void> {
  if (!isRecord(body)) throw new Refusal(400, 'invalid_json', 'the body must be a JSON object');
}

/** Options of a route whose body has a schema. */
const optionsOf = (body: object): object => ({ schema: { body }, preValidation: checkBody });

/** What models are asked by. */
export function addRequests(app: FastifyInstance, { hosts, scopes, limits, pace, metrics, onError }: Means): void {
  const outputs = new Map<string, OutputMetrics>();
  const metricsOf = (model: string): OutputMetrics => {
    const known = outputs.get(model) ?? metrics.outputs(model);
    outputs.set(model, known);
    return known;
  };
  const texts =
    <Body extends TextBody>(route: TextRoute<Body>) =>
    async ({ body }: { readonly body: Body }, reply: FastifyReply): Promise<object | undefined> => {
      checkOpen(scopes);
      const writer = hosts.writer(body.model);
      return scopes.run(reply, (scope) =>
        answer(route, body, reply, { writer, scope, limits, pace, metrics: metricsOf(writer.name), onError }),
      );
    };
  const stream = { sse: { kind: 'manual', heartbeat: false } } as const;
  app.post<{ Body: CompletionBody }>('/v1/completions', { ...optionsOf(COMPLETION), ...stream }, texts(completions));
  app.post<{ Body: ChatBody }>('/v1/chat/completions', { ...optionsOf(CHAT), ...stream }, texts(chat));
  app.post<{ Body: PredictBody }>('/predict', optionsOf(PREDICT), async ({ body }, reply) => {
    checkOpen(scopes);
    const predictor = hosts.predictor(body.model);
    return scopes.run(reply, (scope) => predictor.answer(body, scope));
  });
}
