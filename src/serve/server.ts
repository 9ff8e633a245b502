/**
 * A server of models.
 *
 * @module
 */
import { type FastifyInstance } from 'fastify';
import { refusalOf, ServeError } from './errors.js';
import { Hosts } from './hosts.js';
import { addBodies, refuseBytes } from './http.js';
import { loadCors, loadFastify, loadSse } from './libraries.js';
import { newMetrics, NO_METRICS } from './metrics.js';
import { checkOptions, keysOf, type Limits, limitsOf, type ServerOptions } from './options.js';
import { Pace } from './pace.js';
import { addErrors, addKeys, addMetrics, addRequests, addState, send } from './routes.js';
import { faultOf } from './schema.js';
import { Scopes } from './scope.js';

/** Where a server listens. */
export interface ListenOptions {
  /** The port; 0 for any that is free; 8000 if left out. */
  readonly port?: number | undefined;
  /** The name or address; `'127.0.0.1'`, which only this machine reaches, if left out. */
  readonly host?: string | undefined;
}

/** How often it is looked for requests that do not arrive. */
const CHECK_MS = 1000;

/** What a server is made of. */
interface Made {
  readonly app: FastifyInstance;
  readonly loaded: Promise<void>;
  readonly scopes: Scopes;
  readonly limits: Limits;
}

/**
 * A server of models, which speaks OpenAI's interface.
 *
 * @see {@link createServer}, which makes one
 * @example
 * ```ts
 * import { createServer } from 'tallow/serve';
 *
 * const model = tl.Serial(tl.Dense(2), tl.Softmax());
 * model.init({ shape: [1, 2], dtype: 'float32' });
 * const server = await createServer({ models: [{ name: 'points', task: 'predict', model }], metrics: false });
 * server.app.get('/hello', async () => ({ hello: 'there' }));
 * const url = await server.listen({ port: 0 });
 * await server.ready();
 * await (await fetch(`${url}/hello`)).json(); // → { hello: 'there' }
 * await server.close();
 * ```
 */
export class Server {
  readonly #made: Made;
  #closed: Promise<void> | undefined;

  /** @internal */
  constructor(made: Made) {
    this.#made = made;
  }

  /** The application of fastify below it, for routes of your own before it listens. */
  get app(): FastifyInstance {
    return this.#made.app;
  }

  /**
   * Listens for requests.
   *
   * Models may be loading still: requests are refused with status 503 meanwhile.
   *
   * @param options - Options by name:
   * - `port`: The port; 0 for any that is free. Default: `8000`.
   * - `host`: The name or address. Default: `'127.0.0.1'`, which only this machine reaches.
   * @returns The address, as `http://127.0.0.1:8000`.
   * @throws {@link ServeError} `PortInUse`: another program listens there. `Io`: the address cannot be had.
   * @example
   * ```ts
   * import { createServer } from 'tallow/serve';
   *
   * const model = tl.Serial(tl.Dense(2), tl.Softmax());
   * model.init({ shape: [1, 2], dtype: 'float32' });
   * const server = await createServer({ models: [{ name: 'points', task: 'predict', model }], metrics: false });
   * const url = await server.listen({ port: 0 });
   * new URL(url).hostname; // → '127.0.0.1'
   * await server.close();
   * ```
   */
  async listen({ port = 8000, host = '127.0.0.1' }: ListenOptions = {}): Promise<string> {
    try {
      return await this.app.listen({ port, host });
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
      if (code === 'EADDRINUSE')
        throw new ServeError(
          'PortInUse',
          `port ${port} of ${host} is in use; choose another one, or end what listens there`,
          cause,
        );
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ServeError('Io', `cannot listen on port ${port} of ${host}: ${why}`, cause);
    }
  }

  /**
   * Waits until all models are loaded.
   *
   * @throws What a model could not be loaded with.
   * @example
   * ```ts
   * import { createServer } from 'tallow/serve';
   *
   * const server = await createServer({ models: [() => tl.models.openFolder('nowhere')], metrics: false });
   * await server.ready().catch(({ code }: tl.LayerError) => code); // → 'Io'
   * await server.close();
   * ```
   */
  async ready(): Promise<void> {
    await this.#made.loaded;
  }

  /**
   * Ends the server: requests under way are finished, new ones are refused with status 503.
   *
   * @param options - Options by name:
   * - `timeoutMs`: Milliseconds that requests under way have to end. Default: `limits.drainMs`.
   * @returns When no request is under way.
   * @throws Nothing that a request does. What the library below it fails with.
   * @example
   * ```ts
   * import { createServer } from 'tallow/serve';
   *
   * const model = tl.Serial(tl.Dense(2), tl.Softmax());
   * model.init({ shape: [1, 2], dtype: 'float32' });
   * const server = await createServer({ models: [{ name: 'points', task: 'predict', model }], metrics: false });
   * const url = await server.listen({ port: 0 });
   * await server.close({ timeoutMs: 1000 });
   * await fetch(url).catch(({ message }: Error) => message); // → 'fetch failed'
   * ```
   */
  close({ timeoutMs = this.#made.limits.drainMs }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closed ??= this.#close(timeoutMs);
    return this.#closed;
  }
  async #close(ms: number): Promise<void> {
    await this.#made.scopes.drain(ms);
    await this.app.close();
  }
}

/**
 * Makes a server of models, which speaks OpenAI's interface.
 *
 * It answers `/v1/models`, `/v1/completions` and `/v1/chat/completions` for models that write, `/predict` for others, `/health`, `/ready` and
 * `/metrics`.
 *
 * Requests that come together share a batch, and each gets the same text as alone. It needs the packages fastify and `@fastify/sse`; prom-client
 * for `/metrics`, `@huggingface/jinja` for chats, and `@fastify/cors` for pages of other origins.
 *
 * @param options - Options by name:
 * - `models`: The models, or functions that load them while the server answers already.
 * - `apiKey`: The key, or keys, of which a request must bring one. Default: none.
 * - `cors`: The origins whose pages may call the server; `true` for all. Default: none.
 * - `metrics`: Whether there is `/metrics`. Default: `true`.
 * - `limits`: How much it takes on, see {@link ServerLimits}.
 * - `onError`: Hears of what went wrong in the server, not in a request.
 * @returns The server, which loads its models.
 * @throws {@link ServeError} `InvalidOption`: an option is unknown or is not what it must be. `MissingLibrary`: a package is not installed.
 * @example
 * ```ts
 * import { createServer } from 'tallow/serve';
 *
 * const encoder = tl.data.byteEncoder();
 * const model = tl.models.TransformerLM(encoder.vocabSize, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 1], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const server = await createServer({ models: [{ name: 'writer', model, encoder }], metrics: false });
 * const url = await server.listen({ port: 0 });
 * await server.ready();
 *
 * const answer = await fetch(`${url}/v1/completions`, {
 *   method: 'POST',
 *   headers: { 'content-type': 'application/json' },
 *   body: JSON.stringify({ model: 'writer', prompt: 'Call me', max_tokens: 5, seed: 7 }),
 * });
 * const { choices } = (await answer.json()) as { choices: { finish_reason: string }[] };
 * choices[0]?.finish_reason; // → 'length'
 * await server.close();
 * ```
 */
export async function createServer(options: ServerOptions): Promise<Server> {
  checkOptions(options);
  const limits = limitsOf(options.limits);
  const keys = keysOf(options.apiKey);
  const [fastify, sse] = await Promise.all([loadFastify(), loadSse()]);
  const hosts = new Hosts();
  const metrics = options.metrics === false ? NO_METRICS : await newMetrics(() => hosts.busy());
  const cors = options.cors === undefined || options.cors === false ? undefined : await loadCors();

  const app = fastify({
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.bodyMs,
    // What waits is ended by its own deadline; this is for readers that are gone without a word.
    connectionTimeout: limits.requestMs + limits.stallMs,
    forceCloseConnections: true,
    http: { connectionsCheckingInterval: Math.min(CHECK_MS, limits.bodyMs), headersTimeout: limits.bodyMs },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, verbose: true } },
    schemaErrorFormatter: ([fault]) => faultOf(fault),
    clientErrorHandler: refuseBytes,
    frameworkErrors: (error, _, reply) => void send(reply, refusalOf(error)),
  });
  addBodies(app);
  await app.register(sse);
  if (cors !== undefined) {
    const { cors: given } = options;
    await app.register(cors, { origin: typeof given === 'object' ? [...given] : (given ?? false) });
  }
  const onError = options.onError ?? (() => {});
  const scopes = new Scopes(limits.requestMs);
  addErrors(app, onError);
  addKeys(app, keys);
  addMetrics(app, options.metrics !== false, metrics);
  addState(app, hosts, scopes);
  addRequests(app, { hosts, scopes, limits, pace: new Pace(limits.flushMs), metrics, onError });
  const loaded = hosts.load(options.models, limits);
  // Who waits for it hears of it; others are told by requests that are refused.
  loaded.catch(() => {});
  return new Server({ app, loaded, scopes, limits });
}
