/**
 * What a loop is to do when, as its options say.
 *
 * @module
 */
import { callable, flag, found, list, quoted } from '../../bridge/found.js';
import { Layer } from '../../layer/layer.js';
import { key, keyWords, type Key } from '../../tensor/random.js';
import { type Names, unknownOption } from '../../tensor/rest.js';
import { type Callback } from './callback.js';
import { rankNumber } from '../ranks.js';
import { filled, isLeftOut, refusal } from '../refusal.js';
import { EvalTask, tasksOf, TrainTask } from './task.js';
import { type TrainerOptions } from '../trainer.js';

/** Tells of a step whether something happens behind it; steps count from 1. */
export type StepPredicate = (step: number) => boolean;

/** Options of {@link training.Loop}, with those of {@link Trainer}. */
export interface LoopOptions extends TrainerOptions {
  /** Seed of the random key of the loop; one of `randomSeed` and `rng` must be given. */
  readonly randomSeed?: number | null | undefined;
  /** Random key of the loop. */
  readonly rng?: Key | null | undefined;
  /** Layer to evaluate; a copy of the model in mode `'eval'` that shares its weights if left out. */
  readonly evalModel?: Layer | null | undefined;
  /** Tasks to evaluate. */
  readonly evalTasks?: EvalTask | readonly EvalTask[] | null | undefined;
  /** Folder of checkpoints; none are written if it is left out. */
  readonly outputDir?: string | null | undefined;
  /** Tells whether a checkpoint is written behind a step; step 1 and every `nStepsPerCheckpoint` of the first task if left out. */
  readonly checkpointAt?: StepPredicate | null | undefined;
  /** Name of a metric: the checkpoint with its lowest value is written to `lowest_<metric>` too. */
  readonly checkpointLowMetric?: string | null | undefined;
  /** Name of a metric: the checkpoint with its highest value is written to `highest_<metric>` too. */
  readonly checkpointHighMetric?: string | null | undefined;
  /** Tells whether a checkpoint that stays is written behind a step. */
  readonly permanentCheckpointAt?: StepPredicate | null | undefined;
  /** Tells whether metrics are evaluated behind a step; step 1 and every `nStepsPerCheckpoint` of the first task if left out. */
  readonly evalAt?: StepPredicate | null | undefined;
  /** Tells the number of the task of a step; one after another if left out. */
  readonly whichTask?: ((step: number) => number) | null | undefined;
  /** What is called on the way. */
  readonly callbacks?: readonly Callback[] | null | undefined;
  /** Whether a run is one step and one batch of each evaluation, without files: to see that everything works. */
  readonly fastDevRun?: boolean | undefined;
  /** So many batches are taken again and again: a model that learns must learn them by heart. */
  readonly overfitBatches?: number | null | undefined;
}

const LOOP: Names<Omit<LoopOptions, keyof TrainerOptions>> = {
  randomSeed: true,
  rng: true,
  evalModel: true,
  evalTasks: true,
  outputDir: true,
  checkpointAt: true,
  checkpointLowMetric: true,
  checkpointHighMetric: true,
  permanentCheckpointAt: true,
  evalAt: true,
  whichTask: true,
  callbacks: true,
  fastDevRun: true,
  overfitBatches: true,
};
/** Options that go on to the trainers, which know what they are. */
const TRAINER: Names<TrainerOptions> = {
  nDevices: true,
  groups: true,
  accumulate: true,
  averageDecay: true,
  policy: true,
  lossScale: true,
  gradientShards: true,
  gradientTransport: true,
  communicator: true,
};

/** Whether it is step 1 or a multiple of a number of steps; never for `null`. */
const everyNth =
  (period: number | null): StepPredicate =>
  (step) =>
    period !== null && (step === 1 || step % period === 0);

/** A predicate of the program, held to its word. */
function predicate(name: string, given: StepPredicate | null | undefined, otherwise: StepPredicate): StepPredicate {
  if (isLeftOut(given)) return otherwise;
  callable(`Loop: ${name}`, given);
  return (step) => flag(`Loop: what ${name}(${step}) returns`, given(step));
}

/** What the loop takes from its options. */
export interface Plan {
  readonly tasks: readonly TrainTask[];
  readonly evalTasks: readonly EvalTask[];
  readonly callbacks: readonly Callback[];
  readonly rng: [number, number];
  readonly outputDir: string | null;
  readonly fastDevRun: boolean;
  readonly overfitBatches: number | null;
  /** Metrics whose best value is saved apart. */
  readonly best: readonly { readonly metric: string; readonly mode: 'min' | 'max'; readonly name: string }[];
  readonly trainer: TrainerOptions;
  /** Whether other ranks share the batches. */
  readonly hasRanks: boolean;
  /** Whether this is the rank that writes files. */
  readonly isChief: boolean;
  /** Batches of a step. */
  readonly batchesPerStep: number;
  /** Whether averages of the weights are kept. */
  readonly hasAverages: boolean;
  readonly checkpointAt: StepPredicate;
  readonly permanentCheckpointAt: StepPredicate;
  readonly evalAt: StepPredicate;
  readonly whichTask: (step: number) => number;
}

function keyOf(rng: Key | null | undefined, randomSeed: number | null | undefined): [number, number] {
  if (isLeftOut(rng) === isLeftOut(randomSeed)) {
    const given = isLeftOut(rng) ? 'neither' : 'both';
    const what = 'give `randomSeed`, a whole number, or `rng`, a random key';
    throw refusal('InvalidOption', `Loop: ${what}, got ${given}`);
  }
  if (!isLeftOut(rng)) return keyWords(rng);
  const made = key(randomSeed!);
  try {
    return keyWords(made);
  } finally {
    made.dispose();
  }
}

/** What a loop is to do. */
export function planOf(given: TrainTask | readonly TrainTask[], options: LoopOptions): Plan {
  const tasks = tasksOf('Loop: tasks', TrainTask, given);
  if (tasks.length === 0) throw refusal('InvalidOption', 'Loop: `tasks` must be a task or some tasks, got none');
  const unknown = unknownOption('Loop', options, { ...LOOP, ...TRAINER });
  if (unknown !== undefined) throw refusal('InvalidOption', unknown);
  const { randomSeed, rng, evalModel, evalTasks, callbacks, whichTask, ...others } = options;
  const { checkpointAt, permanentCheckpointAt, evalAt, ...plain } = others;
  const { outputDir, checkpointLowMetric, checkpointHighMetric, fastDevRun, overfitBatches, ...trainer } = plain;
  if (!isLeftOut(evalModel) && !(evalModel instanceof Layer)) {
    throw new TypeError(`Loop: evalModel must be a layer, got ${found(evalModel)}`);
  }
  const all = filled<{
    outputDir: string | null;
    checkpointLowMetric: string | null;
    checkpointHighMetric: string | null;
    fastDevRun: boolean;
    overfitBatches: number | null;
  }>('Loop', { outputDir, checkpointLowMetric, checkpointHighMetric, fastDevRun, overfitBatches });
  const [first] = tasks as readonly [TrainTask];
  const best = [
    { metric: all.checkpointLowMetric, mode: 'min', name: `lowest_${all.checkpointLowMetric}` },
    { metric: all.checkpointHighMetric, mode: 'max', name: `highest_${all.checkpointHighMetric}` },
  ] as const;
  const chosen = isLeftOut(whichTask)
    ? (step: number): number => step % tasks.length
    : callable('Loop: whichTask', whichTask);
  const isChief = rankNumber(options.communicator) === 0;
  const called = isLeftOut(callbacks) ? [] : list('Loop: callbacks', callbacks).map(callbackOf);
  const regularly = everyNth(first.nStepsPerCheckpoint);
  return {
    tasks,
    evalTasks: isLeftOut(evalTasks) ? [] : checkNames(tasksOf('Loop: evalTasks', EvalTask, evalTasks)),
    callbacks: called.filter(({ chiefOnly }) => isChief || chiefOnly !== true),
    rng: keyOf(rng, randomSeed),
    outputDir: all.fastDevRun ? null : all.outputDir,
    fastDevRun: all.fastDevRun,
    overfitBatches: all.overfitBatches,
    best: best.flatMap(({ metric, ...rest }) => (metric === null ? [] : [{ metric, ...rest }])),
    trainer,
    hasRanks: !isLeftOut(options.communicator),
    isChief,
    batchesPerStep: 'accumulate' in trainer && typeof trainer.accumulate === 'number' ? trainer.accumulate : 1,
    hasAverages: !isLeftOut(options.averageDecay),
    checkpointAt: predicate('checkpointAt', checkpointAt, regularly),
    permanentCheckpointAt: predicate(
      'permanentCheckpointAt',
      permanentCheckpointAt,
      everyNth(first.nStepsPerPermanentCheckpoint),
    ),
    evalAt: predicate('evalAt', evalAt, regularly),
    whichTask: (step) => {
      const index: unknown = chosen(step);
      if (typeof index === 'number' && tasks[index] !== undefined) return index;
      const want = `a whole number from 0 to ${tasks.length - 1}, the number of a task`;
      throw refusal('InvalidArgument', `Loop: whichTask(${step}) must return ${want}; it returned ${found(index)}`);
    },
  };
}

/** What stands before the names of each task's metrics. */
export function prefixesOf(tasks: readonly { readonly exportPrefix: string | null }[]): string[] {
  return tasks.map(({ exportPrefix }, i) => (tasks.length > 1 ? `${exportPrefix ?? i}/` : ''));
}

/** Refuses metrics of which two have one name. */
function checkNames(tasks: readonly EvalTask[]): readonly EvalTask[] {
  const prefixes = prefixesOf(tasks);
  const names = tasks.flatMap(({ metricNames }, i) => metricNames.map((name) => `${prefixes[i]}${name}`));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return tasks;
  const way = 'give `metricNames`, or an `exportPrefix` to each task';
  throw refusal('InvalidOption', `Loop: two metrics of \`evalTasks\` are named ${quoted(twice)}; ${way}`);
}

const HOOKS: Names<Omit<Callback, 'everyMs' | 'chiefOnly'>> = {
  onStart: true,
  onStep: true,
  onEval: true,
  onCheckpoint: true,
  onError: true,
  onEnd: true,
};

/** A callback, which has at least one of the functions that a loop calls. */
function callbackOf(given: Callback): Callback {
  const names = Object.keys(HOOKS) as (keyof typeof HOOKS)[];
  if (typeof given !== 'object' || given === null || names.every((name) => given[name] === undefined)) {
    throw new TypeError(`Loop: a callback must be an object with any of ${names.join(', ')}; got ${found(given)}`);
  }
  const { everyMs } = given;
  if (everyMs !== undefined && !(typeof everyMs === 'number' && everyMs >= 0)) {
    throw new TypeError(`Loop: everyMs of a callback must be a number of at least 0, got ${found(everyMs)}`);
  }
  for (const name of names) if (given[name] !== undefined) callable(`Loop: ${name} of a callback`, given[name]);
  return given;
}
