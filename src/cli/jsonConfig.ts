/**
 * Configs in JSON: a model of the package, an optimizer, and files of data.
 *
 * @module
 */
import { dirname, resolve } from 'node:path';
import { found, isList } from '../bridge/found.js';
import { hintAt } from '../bridge/near.js';
import { type Layer } from '../layer/layer.js';
import { type Signature } from '../tensor/ops.js';
import { type Described } from '../models/folder/folder.js';
import { type Schedule } from '../training/schedules.js';
import { type Configured } from './config.js';
import { type Data, dataOf } from './jsonData.js';
import { checkKeys, Mistake, record, shownMessage, whole } from './mistake.js';

const KEYS = [
  'model',
  'optimizer',
  'schedule',
  'loss',
  'metrics',
  'data',
  'evalData',
  'steps',
  'checkpointEvery',
  'outputDir',
  'seed',
  'loop',
  'name',
  'task',
  'generation',
  'chatTemplate',
];

type Config = Readonly<Record<string, unknown>>;

/** What a function of a group gives: its name alone, or a list of its name and arguments. */
function made(where: string, group: object, given: unknown): unknown {
  const [name, ...args] = isList(given) ? given : [given];
  if (typeof name !== 'string') {
    throw new Mistake(`${where} must be a name, or a list of a name and its arguments; got ${found(given)}`);
  }
  const names = Object.keys(group).filter((key) => typeof Reflect.get(group, key) === 'function');
  if (!names.includes(name))
    throw new Mistake(`${where}: there is no ${name}; there are ${names.toSorted().join(', ')}${hintAt(name, names)}`);
  try {
    return Reflect.apply(Reflect.get(group, name), undefined, args);
  } catch (error) {
    throw new Mistake(`${where}: ${shownMessage(error)}`, { cause: error });
  }
}

/** Whether something made by a group of schedules is there: all of these are functions. */
const isSchedule = (x: unknown): x is Schedule => typeof x === 'function';

/** The layer that a config's entry is. */
async function layerMade(where: string, group: object, given: unknown): Promise<Layer> {
  const { Layer } = await import('../layer/layer.js');
  const layer = made(where, group, given);
  if (layer instanceof Layer) return layer;
  throw new Mistake(`${where} must be a layer, got ${found(layer)}`);
}

/** A part of a config that must be there. */
function part(path: string, config: Config, key: string): unknown {
  if (config[key] === undefined) throw new Mistake(`${path}: \`${key}\` is missing`);
  return config[key];
}

async function modelOf(path: string, config: Config): Promise<Layer> {
  checkKeys(path, config, KEYS);
  const { layerOf } = await import('../models/folder/layerConfig.js');
  const given = part(path, config, 'model');
  const where = `${path}: model`;
  try {
    return layerOf(where, given);
  } catch (error) {
    // What is wrong with the config itself tells the place already.
    throw shownMessage(error).startsWith(where) ? within('', error) : within(where, error);
  }
}

/** What went wrong in a part of a config. */
function within(where: string, error: unknown): Mistake {
  const message = shownMessage(error);
  return error instanceof Mistake
    ? error
    : new Mistake(where === '' ? message : `${where}: ${message}`, { cause: error });
}

/** What a model of these data takes. */
function inputsOf(model: Layer, { signatures }: Data): Signature | Signature[] {
  const inputs = signatures.slice(0, model.nIn);
  return inputs.length === 1 ? inputs[0]! : inputs;
}

/** What a folder is to tell of the model, beside its weights. */
async function described(path: string, config: Config, model: Layer, data: Data): Promise<Described> {
  const { generationOf, taskOf, templateIn, templateOf } = await import('../models/folder/description.js');
  const { checkVocabulary } = await import('../models/folder/vocabulary.js');
  const { encoder } = data;
  const { name } = config;
  if (name !== undefined && typeof name !== 'string')
    throw new Mistake(`${path}: name must be a text, got ${found(name)}`);
  const inputSignature = inputsOf(model, data);
  try {
    const task = taskOf('task', config['task'] ?? (encoder === null ? 'predict' : 'generate'));
    checkVocabulary('model', task, model, inputSignature, encoder);
    const template = templateOf('chatTemplate', config['chatTemplate'] ?? null);
    const chatTemplate = templateIn('chatTemplate', dirname(path), template);
    const generation = generationOf('generation', config['generation'] ?? {});
    return { name, task, model: config['model'], inputSignature, generation, chatTemplate, encoder };
  } catch (error) {
    throw within(path, error);
  }
}

/** The model of a config, and the signature of its inputs if there are data. */
export async function layerIn(
  path: string,
  config: Config,
): Promise<{ layer: Layer; signature: Signature | Signature[] | undefined }> {
  const layer = await modelOf(path, config);
  if (config['data'] === undefined) return { layer, signature: undefined };
  const data = await dataOf(`${path}: data`, dirname(path), config['data'], null);
  return { layer, signature: inputsOf(layer, data) };
}

/** The loop of a config. */
export async function loopIn(path: string, config: Config): Promise<Configured> {
  const model = await modelOf(path, config);
  const tl = await import('../index.js');
  const losses = await import('../generated/metrics.js');
  const seed = config['seed'] === undefined ? 0 : whole(`${path}: seed`, config['seed'], 0);
  const optimizer = made(`${path}: optimizer`, tl.optimizers, part(path, config, 'optimizer'));
  const schedule = config['schedule'];
  const lrSchedule = schedule === undefined ? undefined : made(`${path}: schedule`, tl.lrSchedules, schedule);
  const loss = config['loss'] ?? 'CategoryCrossEntropy';
  const metrics = config['metrics'] ?? (config['loss'] === undefined ? [loss, 'CategoryAccuracy'] : [loss]);
  if (!isList(metrics)) throw new Mistake(`${path}: metrics must be a list, got ${found(metrics)}`);
  const folder = dirname(path);
  const train = await dataOf(`${path}: data`, folder, part(path, config, 'data'), seed);
  const description = await described(path, config, model, train);
  const every = config['checkpointEvery'];
  const steps = config['steps'] === undefined ? undefined : whole(`${path}: steps`, config['steps'], 1);
  const where = config['outputDir'];
  if (where !== undefined && typeof where !== 'string')
    throw new Mistake(`${path}: outputDir must be a path, got ${found(where)}`);
  if (!(optimizer instanceof tl.Optimizer)) throw new Mistake(`${path}: optimizer must be one of tl.optimizers`);
  const lossLayer = await layerMade(`${path}: loss`, losses, loss);
  const measures = await Promise.all(metrics.map((one, i) => layerMade(`${path}: metrics.${i}`, losses, one)));
  const held =
    config['evalData'] === undefined ? undefined : await dataOf(`${path}: evalData`, folder, config['evalData'], null);
  try {
    const task = new tl.training.TrainTask(train.batches, lossLayer, optimizer, {
      ...(isSchedule(lrSchedule) ? { lrSchedule } : {}),
      ...(every === undefined ? {} : { nStepsPerCheckpoint: whole(`${path}: checkpointEvery`, every, 1) }),
    });
    const evalTasks =
      held === undefined ? [] : [new tl.training.EvalTask(held.batches, measures, { nEvalBatches: held.count })];
    const loop = new tl.training.Loop(model, task, {
      ...record(`${path}: loop`, config['loop'] ?? {}),
      evalTasks,
      randomSeed: seed,
      ...(where === undefined ? {} : { outputDir: resolve(folder, where) }),
    });
    return { loop, steps, described: description };
  } catch (error) {
    throw within(path, error);
  }
}
