/**
 * `tallow bench`: how fast this machine is.
 *
 * @module
 */
import { type Command } from 'commander';
import type * as tallow from '../index.js';
import { shownCount, table } from '../seeing/table.js';
import { command, count } from './command.js';
import { heading, print, printJson } from './output.js';

interface Options {
  readonly json?: boolean;
  readonly threads?: number;
}

/** A measurement, of which a line is shown. */
interface Measured {
  readonly name: string;
  readonly threads: number;
  /** The median time of one run. */
  readonly ms: number;
  readonly value: number;
  readonly unit: string;
}

/** Time for each measurement, and the fewest runs of it. */
const BUDGET_MS = 700;
const LEAST_RUNS = 3;
/** Sides of the matrices of a product; numbers that are added up: more than caches hold. */
const SIDE = 1024;
const NUMBERS = 64 * 2 ** 20;
const LM = { vocabSize: 256, dModel: 256, dFf: 1024, nHeads: 4, nLayers: 4, length: 128, batch: 4 } as const;

/** The median time of a run in milliseconds, behind one that warms up. */
function medianMs(run: () => void): number {
  run();
  const times: number[] = [];
  const began = performance.now();
  while (times.length < LEAST_RUNS || performance.now() - began < BUDGET_MS) {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

type Package = typeof tallow;

/** A product of square matrices, in operations a second. */
function product(tl: Package, threads: number): Measured {
  tl.setNumThreads(threads);
  using a = tl.random.normal(tl.random.key(0), [SIDE, SIDE]);
  using b = tl.random.normal(tl.random.key(1), [SIDE, SIDE]);
  const ms = medianMs(() => a.matmul(b).dispose());
  return {
    name: `product of ${SIDE} × ${SIDE}, float32`,
    threads,
    ms,
    value: (2 * SIDE ** 3) / ms / 1e6,
    unit: 'GFLOP/s',
  };
}

/** Numbers added up, in bytes a second. */
function reading(tl: Package, threads: number): Measured {
  tl.setNumThreads(threads);
  using x = tl.ones([NUMBERS]);
  const ms = medianMs(() => x.max().dispose());
  return { name: 'reading memory', threads, ms, value: (4 * NUMBERS) / ms / 1e6, unit: 'GB/s' };
}

/** A training step of a language model, in tokens a second. */
function step(tl: Package, threads: number): Measured {
  tl.setNumThreads(threads);
  const { vocabSize, length, batch, ...sizes } = LM;
  const model = tl.models.TransformerLM(vocabSize, { ...sizes, maxLen: length });
  const withLoss = tl.Serial(model, tl.CategoryCrossEntropy());
  const shape = [batch, length];
  withLoss.init(
    [
      { shape, dtype: 'int32' },
      { shape, dtype: 'int32' },
    ],
    { rng: tl.random.key(0) },
  );
  const trainer = new tl.Trainer(withLoss, tl.optimizers.Adam());
  using tokens = tl.random.randint(tl.random.key(1), shape, 0, vocabSize);
  const rng = tl.random.key(2);
  const ms = medianMs(() => trainer.oneStep([tokens, tokens], rng));
  withLoss.dispose();
  const name = `step of a TransformerLM (${sizes.nLayers} layers, d ${sizes.dModel}, ${batch} × ${length})`;
  return { name, threads, ms, value: (1000 * batch * length) / ms, unit: 'tokens/s' };
}

const shown = (value: number): string => (value < 1000 ? value.toPrecision(3) : shownCount(Math.round(value)));

async function run({ json, threads }: Options): Promise<void> {
  const tl = await import('../index.js');
  const all = threads ?? tl.numThreads();
  const rows = [product, reading].flatMap((measure) => [...new Set([1, all])].map((n) => measure(tl, n)));
  rows.push(step(tl, all));
  if (json === true) return printJson(rows, 2);
  const cells = rows.map(({ name, threads, ms, value, unit }) => [
    name,
    String(threads),
    shown(ms),
    shown(value),
    unit,
  ]);
  const [head, ...rest] = table(['measured', 'threads', 'ms', 'speed', 'unit'], cells).split('\n');
  print([heading(head!), ...rest].join('\n'));
}

/** Makes the command. */
export function bench(): Command {
  return command('bench', 'Measures this machine for some seconds: products, memory, and a training step.', [
    ['tallow bench', 'with as many threads as there are'],
    ['tallow bench --threads 1 --json', 'for a program'],
  ])
    .option('--threads <n>', 'threads of what is measured', count)
    .action(run);
}
