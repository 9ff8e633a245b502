/**
 * What a training step takes on many ranks, simulated: `npx tsx bench/scaling.ts [rates.json]`. docs/scaling.md has the model and its formulas.
 *
 * The rates are those of a machine and of a network; `bench/scaling.json` has measured ones of one machine, and assumed ones of networks, which say
 * that they are.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A TransformerLM, and what it is trained on. */
export interface Model {
  readonly name: string;
  readonly vocab: number;
  readonly dModel: number;
  readonly dFf: number;
  readonly layers: number;
  readonly length: number;
}

/** What a rank computes, and what goes between two ranks. */
export interface Rates {
  /** How they were found. */
  readonly source: string;
  /** Floating-point operations a second of a rank's training step. */
  readonly flops: number;
  /** Seconds until a message of one byte has come. */
  readonly latency: number;
  /** Bytes a second that a rank sends, while it receives as many. */
  readonly bandwidth: number;
  /** What part of the backward pass the exchange of gradients may run beside: 0, none of it, to 1. */
  readonly overlap: number;
}

/** A step on `n` ranks. */
export interface Step {
  readonly compute: number;
  readonly exchange: number;
  readonly seconds: number;
  /** The part of the time that is computed in. */
  readonly efficiency: number;
}

/** Weights: the tables of tokens and of positions, what each layer has of attention (4 d²) and of the dense block (2 d · dFf), and the last layer, with biases and norms. */
export function weights({ vocab, dModel: d, dFf, layers, length }: Model): number {
  const attention = 4 * (d * d + d);
  const dense = 2 * d * dFf + dFf + d;
  const norms = 4 * d;
  return (vocab + length) * d + layers * (attention + dense + norms) + 2 * d + d * vocab + vocab;
}

/**
 * Floating-point operations of a step for one token. Each weight of a product takes two forward, and four backward; the table of tokens takes none. Causal attention
 * looks at half of the length on average, with two products of d by it.
 */
export function flopsPerToken(model: Model): number {
  const { vocab, dModel: d, dFf, layers, length } = model;
  const products = layers * (4 * d * d + 2 * d * dFf) + d * vocab;
  return 6 * (products + layers * 2 * d * (length / 2));
}

/** Bytes that a rank sends for each step: each value goes to whom it is added up by, and comes back. */
export const bytesSent = (model: Model, n: number): number => ((2 * (n - 1)) / n) * 4 * weights(model);

/** Seconds of the exchange: 2 (n - 1) messages, and the bytes. */
export const exchangeSeconds = (model: Model, n: number, { latency, bandwidth }: Rates): number =>
  2 * (n - 1) * latency + bytesSent(model, n) / bandwidth;

/** A step on `n` ranks of `sequences` sequences each. The backward pass is two thirds of what is computed. */
export function step(model: Model, n: number, sequences: number, rates: Rates): Step {
  const compute = (sequences * model.length * flopsPerToken(model)) / rates.flops;
  const exchange = exchangeSeconds(model, n, rates);
  const seconds = compute + Math.max(0, exchange - (2 / 3) * rates.overlap * compute);
  return { compute, exchange, seconds, efficiency: compute / seconds };
}

/** Most ranks, of powers of two up to `most`, that share a batch of `sequences` and are computing for at least `efficiency` of the time. */
export function lastThatPays(model: Model, sequences: number, rates: Rates, efficiency = 0.5, most = 4096): number {
  let last = 1;
  for (let n = 2; n <= Math.min(most, sequences); n *= 2)
    if (step(model, n, sequences / n, rates).efficiency >= efficiency) last = n;
  return last;
}

/** The part of the time in which a pipeline of `stages` computes, when a batch goes through it in `pieces`. */
export const pipelineEfficiency = (stages: number, pieces: number): number => pieces / (pieces + stages - 1);

/** Bytes that a rank sends in a step where `n` ranks share each sequence: keys and values of each layer go round, and their gradients come back. */
export const sequenceBytes = ({ dModel, layers, length }: Model, n: number, sequences: number): number =>
  4 * layers * sequences * length * dModel * 4 * ((n - 1) / n);

export const models: readonly Model[] = [
  { name: 'small', vocab: 256, dModel: 256, dFf: 1024, layers: 4, length: 256 },
  { name: 'medium', vocab: 32_000, dModel: 768, dFf: 3072, layers: 12, length: 1024 },
  { name: 'large', vocab: 32_000, dModel: 2048, dFf: 8192, layers: 24, length: 2048 },
];

/** Ranks that are simulated. */
const RANKS = [1, 2, 4, 8, 16, 64, 256, 1024, 4096];
/** Sequences of a rank, where each has its own; and of all, where they share them. */
const EACH = 8;
const SHARED = 4096;

/** Seconds in the unit that is easy to read. */
export function shown(seconds: number): string {
  if (seconds < 1) return `${(seconds * 1000).toPrecision(3)} ms`;
  return seconds < 600 ? `${seconds.toPrecision(3)} s` : `${(seconds / 60).toPrecision(3)} min`;
}

function report(name: string, rates: Rates): void {
  console.log(`\n${name}: ${rates.source}`);
  for (const model of models) {
    const millions = (weights(model) / 1e6).toFixed(1);
    const pays = lastThatPays(model, SHARED, rates);
    console.log(
      `\n${model.name}, ${millions} million weights; ${SHARED} sequences shared by all pay up to ${pays} ranks`,
    );
    console.log(`\n| ranks | exchange | step, ${EACH} each | computing | step, shared | computing |`);
    console.log('|---|---|---|---|---|---|');
    for (const n of RANKS) {
      const own = step(model, n, EACH, rates);
      const shared = step(model, n, SHARED / n, rates);
      const percent = (s: Step) => `${(100 * s.efficiency).toFixed(0)} %`;
      const cells = [n, shown(own.exchange), shown(own.seconds), percent(own), shown(shared.seconds), percent(shared)];
      console.log(`| ${cells.join(' | ')} |`);
    }
  }
}

if (require.main === module) {
  const file = process.argv[2] ?? join(__dirname, 'scaling.json');
  const all: Record<string, Rates> = JSON.parse(readFileSync(file, 'utf8'));
  for (const [name, rates] of Object.entries(all)) report(name, rates);
}
