/**
 * What `/metrics` tells, in the format of Prometheus.
 *
 * @module
 */
import { memory } from '../tensor/memory.js';
import { loadProm } from './libraries.js';

/** How busy a model is, asked when the numbers are read. */
export interface Busy {
  readonly name: string;
  readonly running: number;
  readonly waiting: number;
  /** Outputs that are written together. */
  readonly batch: number;
  readonly cacheBytes: number;
}

/** What is told of the outputs of a model while they are written. */
export interface OutputMetrics {
  prompt(tokens: number): void;
  firstToken(seconds: number): void;
  nextToken(seconds: number): void;
}

/** What is counted and measured. */
export interface Metrics {
  /** The type of the text. */
  readonly contentType: string;
  /** The numbers as text. */
  text(): Promise<string>;
  /** A request was answered. */
  answered(route: string, status: number, seconds: number): void;
  /** What is told of the outputs of a model. */
  outputs(model: string): OutputMetrics;
}

/** Seconds that are told apart. */
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** Where nothing is counted. */
export const NO_METRICS: Metrics = {
  contentType: 'text/plain',
  text: async () => '',
  answered: () => {},
  outputs: () => ({ prompt: () => {}, firstToken: () => {}, nextToken: () => {} }),
};

/** Begins to count. */
export async function newMetrics(busy: () => readonly Busy[]): Promise<Metrics> {
  const { Counter, Gauge, Histogram, Registry } = await loadProm();
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'tallow_requests_total',
    help: 'Requests that were answered, by route and status.',
    labelNames: ['route', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'tallow_request_seconds',
    help: 'Seconds from a request to the end of its answer.',
    labelNames: ['route'],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const first = new Histogram({
    name: 'tallow_time_to_first_token_seconds',
    help: 'Seconds from a request to the first token of an output.',
    labelNames: ['model'],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const next = new Histogram({
    name: 'tallow_time_between_tokens_seconds',
    help: 'Seconds between two tokens of an output.',
    labelNames: ['model'],
    buckets: TOKEN_SECONDS,
    registers,
  });
  // Tokens of outputs since the numbers were read last: a count of our own costs each token less.
  const written = new Map<string, number>();
  const tokens = new Counter({
    name: 'tallow_tokens_total',
    help: 'Tokens of prompts and of outputs.',
    labelNames: ['model', 'kind'],
    registers: [],
    collect() {
      for (const [model, count] of written) this.inc({ model, kind: 'output' }, count);
      written.clear();
    },
  });
  registry.registerMetric(tokens);
  const gauge = (name: string, help: string, of: (model: Busy) => number): void => {
    const made = new Gauge({
      name,
      help,
      labelNames: ['model'],
      registers: [],
      collect() {
        for (const model of busy()) this.set({ model: model.name }, of(model));
      },
    });
    registry.registerMetric(made);
  };
  gauge('tallow_requests_running', 'Requests under way.', ({ running }) => running);
  gauge('tallow_requests_waiting', 'Requests that wait for room.', ({ waiting }) => waiting);
  gauge('tallow_batch_size', 'Outputs that are written together.', ({ batch }) => batch);
  gauge('tallow_cache_bytes', 'Bytes that a model keeps of outputs under way.', ({ cacheBytes }) => cacheBytes);
  const bytes = new Gauge({
    name: 'tallow_memory_bytes',
    help: 'Bytes of all tensors, and of the whole process.',
    labelNames: ['kind'],
    registers: [],
    collect() {
      this.set({ kind: 'tensors' }, memory().bytes);
      this.set({ kind: 'process' }, process.memoryUsage.rss());
    },
  });
  registry.registerMetric(bytes);
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    answered(route, status, took) {
      requests.inc({ route, status });
      seconds.observe({ route }, took);
    },
    outputs(model) {
      const prompts = tokens.labels({ model, kind: 'prompt' });
      const one = (): void => void written.set(model, (written.get(model) ?? 0) + 1);
      const firsts = first.labels({ model });
      const nexts = next.labels({ model });
      return {
        prompt: (count) => prompts.inc(count),
        firstToken(took) {
          one();
          firsts.observe(took);
        },
        nextToken(took) {
          one();
          nexts.observe(took);
        },
      };
    },
  };
}
