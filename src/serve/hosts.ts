/**
 * The models of a server, from loading on.
 *
 * @module
 */
import { shown } from '../bridge/found.js';
import { Refusal, ServeError } from './errors.js';
import { type Busy } from './metrics.js';
import { checkModel, type Limits, type ModelSource, type ServedModel } from './options.js';
import { Predictor } from './predictor.js';
import { Writer } from './writer.js';

/** A model that is ready. */
export type Host = Writer | Predictor;

/** How far a server is: it loads its models, has them, or could not load them. */
export type HostsState = 'loading' | 'ready' | 'failed';

/** Seconds in which a model may be loaded. */
const LOADING_SECONDS = 2;

/** A model that is ready to be asked. */
async function hostOf(source: ModelSource, limits: Limits): Promise<Host> {
  const served: ServedModel = checkModel(typeof source === 'function' ? await source() : source);
  const { task, encoder } = served;
  if (task === 'predict' || encoder === undefined || encoder === null) return new Predictor(served, limits);
  return Writer.of(served, encoder, limits);
}

/** All models. */
export class Hosts {
  readonly #all = new Map<string, Host>();
  #state: HostsState = 'loading';
  /** When the models were loaded, in seconds since 1970. */
  #created = 0;
  #loaded: Promise<void> | undefined;

  /** Loads the models, once. */
  load(sources: readonly ModelSource[], limits: Limits): Promise<void> {
    this.#loaded ??= this.#load(sources, limits);
    return this.#loaded;
  }

  async #load(sources: readonly ModelSource[], limits: Limits): Promise<void> {
    try {
      for (const source of sources) {
        // One after another: each takes all cores.
        // oxlint-disable-next-line no-await-in-loop
        const host = await hostOf(source, limits);
        if (this.#all.has(host.name))
          throw new ServeError('InvalidOption', `createServer: two models have the name ${host.name}; rename one`);
        this.#all.set(host.name, host);
      }
      this.#created = Math.floor(Date.now() / 1000);
      this.#state = 'ready';
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
  }

  get state(): HostsState {
    return this.#state;
  }
  /** Whether a request may have to be sent away just now. */
  get isFull(): boolean {
    return [...this.#all.values()].some(({ admission }) => admission.isFull);
  }
  /** Refuses requests while there are no models. */
  checkReady(): void {
    if (this.#state === 'loading')
      throw new Refusal(503, 'loading', 'the server loads its models; try again in a moment', {
        retryAfter: LOADING_SECONDS,
      });
    if (this.#state === 'failed') throw new Refusal(503, 'not_loaded', 'the server could not load its models');
  }
  /** A model by its name. */
  find(name: string): Host {
    this.checkReady();
    const host = this.#all.get(name);
    if (host === undefined)
      throw new Refusal(404, 'model_not_found', `The model \`${shown(name)}\` does not exist`, { param: 'model' });
    return host;
  }
  /** A model that writes. */
  writer(name: string): Writer {
    const host = this.find(name);
    if (host instanceof Writer) return host;
    throw new Refusal(400, 'wrong_task', `the model ${name} does not write; call it by /predict`, { param: 'model' });
  }
  /** A model that answers calls: the one there is, if no name is given. */
  predictor(name: string | undefined): Predictor {
    this.checkReady();
    const all = [...this.#all.values()].filter((host) => host instanceof Predictor);
    if (name === undefined && all.length === 1) return all[0]!;
    if (name === undefined) {
      const message = `\`model\` is required, as the server has ${all.length} models to call`;
      throw new Refusal(400, 'missing_required_parameter', message, { param: 'model' });
    }
    const host = this.find(name);
    if (host instanceof Predictor) return host;
    const message = `the model ${name} writes; ask it by /v1/completions or /v1/chat/completions`;
    throw new Refusal(400, 'wrong_task', message, { param: 'model' });
  }
  /** What `/v1/models` tells of a model. */
  shown(name: string): object {
    return { id: this.find(name).name, object: 'model', created: this.#created, owned_by: 'tallow' };
  }
  /** What `/v1/models` tells of all. */
  shownAll(): readonly object[] {
    this.checkReady();
    return [...this.#all.keys()].map((name) => this.shown(name));
  }
  /** How busy each model is. */
  busy(): readonly Busy[] {
    return [...this.#all.values()].map((host) => {
      const { name, admission } = host;
      const load = host instanceof Writer ? host.decoder.load : { running: admission.running, bytes: 0 };
      return {
        name,
        running: admission.running,
        waiting: admission.waiting,
        batch: load.running,
        cacheBytes: load.bytes,
      };
    });
  }
}
