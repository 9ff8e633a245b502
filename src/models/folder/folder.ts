/**
 * Models in folders: with all that is needed to use them again.
 *
 * @module
 */
import { existsSync, statSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LayerError, refusal, withoutCode } from '../../bridge/errors.js';
import { makeFolders } from '../../bridge/folders.js';
import { found, text } from '../../bridge/found.js';
import { native } from '../../bridge/native.js';
import { Encoder, loadEncoder } from '../../data/encoder.js';
import { idOfLayer, Layer } from '../../layer/layer.js';
import { checked } from '../../layer/signature.js';
import { type Signature, type SignatureLike } from '../../tensor/ops.js';
import { type Names, optionsOf } from '../../tensor/rest.js';
import {
  DESCRIPTION,
  type Description,
  type GenerationDefaults,
  generationOf,
  type ModelTask,
  readDescription,
  taskOf,
  templateIn,
  writeDescription,
} from './description.js';
import { type LayerConfig, layerOf } from './layerConfig.js';
import { alone } from './lock.js';
import { checkVocabulary } from './vocabulary.js';

/** What {@link saveFolder} puts into a folder. */
export interface ModelToSave {
  /** The model, with its weights. */
  readonly model: Layer;
  /** What makes such a model, for the one who opens the folder: `['TransformerLM', 256, { dModel: 64 }]`. */
  readonly config: LayerConfig;
  /** The signature of the inputs that the model is made for. */
  readonly inputSignature: SignatureLike | readonly SignatureLike[];
  /** What it is used for. */
  readonly task: ModelTask;
  /** What it is called; as the folder if left out. */
  readonly name?: string | undefined;
  /** The encoder of its text. */
  readonly encoder?: Encoder | null | undefined;
  /** How it writes where a request does not say otherwise. */
  readonly generation?: GenerationDefaults | undefined;
  /** The template that makes one text of the messages of a chat. */
  readonly chatTemplate?: string | null | undefined;
}

/** What {@link openFolder} finds in a folder. */
export interface OpenedModel {
  /** What it is called: as it was saved, or as its folder. */
  readonly name: string;
  /** What it is used for. */
  readonly task: ModelTask;
  /** The model, with its weights, in mode `'eval'`. */
  readonly model: Layer;
  /** What makes such a model. */
  readonly config: LayerConfig;
  /** The signature of the inputs that the model is made for. */
  readonly inputSignature: Signature | readonly Signature[];
  /** The encoder of its text, if it has one. */
  readonly encoder: Encoder | null;
  /** How it writes where a request does not say otherwise: options of {@link decoding.generate}. */
  readonly generation: GenerationDefaults;
  /** The template that makes one text of the messages of a chat, if it has one. */
  readonly chatTemplate: string | null;
}

/** What is told of a model, beside its weights. @internal */
export interface Described extends Omit<Description, 'name' | 'encoder' | 'weights'> {
  readonly name: string | undefined;
  readonly encoder: Encoder | null;
}

const SAVE: Names<ModelToSave> = {
  model: true,
  config: true,
  inputSignature: true,
  task: true,
  name: true,
  encoder: true,
  generation: true,
  chatTemplate: true,
};

/** Refuses a model that a config would make otherwise. */
function checkConfig(model: Layer, made: Layer, inputs: Signature | Signature[]): void {
  const [found, wanted] = [model, made].map((layer) => JSON.stringify(layer.weightsAndStateSignature(inputs)));
  if (found === wanted && model.withMode('eval').toString() === made.withMode('eval').toString()) return;
  const how = 'give the arguments that the model was made with';
  throw refusal('WeightsMismatch', `saveFolder: config makes other layers or weights than the model has; ${how}`);
}

/** Writes the encoder and the description of a model into a folder that has its weights, or will have them. @internal */
export async function describe(
  folder: string,
  { encoder, ...rest }: Described,
  weights: string,
  tokenizer: string | null,
): Promise<void> {
  if (tokenizer !== null) encoder?.save(join(folder, tokenizer));
  await writeDescription(folder, { ...rest, weights, encoder: tokenizer });
}

/** A name of a file that is not taken yet: `model.safetensors`, or with a number. */
function freeName(folder: string, begin: string, ending: string): string {
  for (let i = 0; ; i += 1) {
    const name = i === 0 ? `${begin}${ending}` : `${begin}.${i}${ending}`;
    if (!existsSync(join(folder, name))) return name;
  }
}

/** What a folder holds before it is written, if it can be read. */
function formerly(folder: string): Description | undefined {
  try {
    return readDescription('saveFolder', folder);
  } catch {
    return undefined;
  }
}

/** Files of the format in a folder: of models, and of a process that was killed while it wrote. */
const OF_MODELS = /^(?:model(?:\.\d+)?\.safetensors|tokenizer(?:\.\d+)?\.json|model\.json\.\d+\.\d+\.tmp)$/;

/** Files of a model that was in the folder before; not those of a training run, and none where no model was. */
async function outdated(folder: string, before: Description | undefined, kept: readonly string[]): Promise<string[]> {
  if (before === undefined) return [];
  const names = (await readdir(folder)).filter((name) => OF_MODELS.test(name));
  const former = [before.weights, ...(before.encoder === null ? [] : [before.encoder])];
  const isOurs = (name: string): boolean => kept.includes(name) || name.startsWith(`model.json.${process.pid}.`);
  const old = [...new Set([...names, ...former])].filter((name) => !isOurs(name));
  const isOfRun = await Promise.all(
    old.map((name) =>
      native.fileInfo(join(folder, name)).then(
        ({ step }) => step !== null,
        () => false,
      ),
    ),
  );
  return old.filter((_, i) => !isOfRun[i]);
}

/** What went wrong in a folder, told as that of `saveFolder`. */
function unwritable(folder: string, error: unknown): Error {
  if (error instanceof Error && 'syscall' in error)
    return refusal('Io', `saveFolder: ${folder} cannot be written: ${error.message}`, error);
  return error instanceof Error ? error : new TypeError(found(error));
}

/**
 * Saves a model with all that is needed to use it again: what makes it, its weights, its encoder, how it writes.
 *
 * `model.json` says what is in the folder and names the other files. They are written first, and beside those of a model that was there before, so that
 * the folder holds the old model or the new one whenever the program ends. Of two programs that save into one folder of a machine, the second waits for the
 * first.
 *
 * @param folder - Path of the folder, which is made if it is not there.
 * @param options - What to save, by name:
 * - `model`: The model, with its weights.
 * - `config`: What makes such a model: the name of its factory, or a list of the name and the arguments.
 * - `inputSignature`: The signature of the inputs that the model is made for.
 * - `task`: `'generate'` for a model that writes tokens, `'predict'` for one that gives outputs for inputs.
 * - `name`: What it is called. Default: as the folder.
 * - `encoder`: The encoder of its text. Default: none.
 * - `generation`: How it writes where a request does not say otherwise: `startId`, `eosId`, `temperature` and others of {@link decoding.generate}.
 * - `chatTemplate`: The template that makes one text of the messages of a chat. Default: none.
 * @returns When all of it is on the disk.
 * @throws `TypeError`: an option is unknown or missing, or of another kind.
 * @throws {@link LayerError} `InvalidArgument`: `config` names no layer or holds what JSON does not, or the encoder has ids that the model lacks.
 * @throws {@link LayerError} `WeightsMismatch`: `config` makes another layer than the model is.
 * @throws {@link LayerError} `Io`: the folder cannot be written, or another program saves into it for more than ten seconds.
 * @see {@link openFolder}
 * @example
 * ```ts
 * const encoder = tl.data.byteEncoder();
 * const config: tl.models.LayerConfig = ['TransformerLM', 256, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 }];
 * const inputSignature = { shape: [1, 8], dtype: 'int32' } as const;
 * const model = tl.models.fromConfig(config);
 * model.init(inputSignature, { rng: tl.random.key(0) });
 * await tl.models.saveFolder('whale', { model, config, inputSignature, task: 'generate', encoder });
 * (await tl.models.openFolder('whale')).name; // → 'whale'
 * ```
 */
export async function saveFolder(folder: string, options: ModelToSave): Promise<void> {
  const path = text('saveFolder: folder', folder);
  const { model, config, inputSignature, task, ...rest } = optionsOf('saveFolder', options, SAVE);
  if (!(model instanceof Layer)) throw new TypeError(`saveFolder: \`model\` must be a layer, got ${found(model)}`);
  if (inputSignature === undefined || config === undefined) {
    const missing = config === undefined ? 'config' : 'inputSignature';
    throw new TypeError(`saveFolder: \`${missing}\` is missing`);
  }
  const { encoder = null, chatTemplate = null } = rest;
  Encoder.nativeOf('saveFolder: `encoder`', encoder);
  const name = rest.name === undefined ? undefined : text('saveFolder: `name`', rest.name);
  const template = chatTemplate === null ? null : text('saveFolder: `chatTemplate`', chatTemplate);
  const generation = generationOf('saveFolder: generation', rest.generation ?? {});
  const inputs = checked(inputSignature);
  const kind = taskOf('saveFolder: task', task);
  idOfLayer(model);
  checkConfig(model, layerOf('saveFolder: config', config), inputs);
  checkVocabulary('saveFolder', kind, model, inputs, encoder);
  try {
    await makeFolders(path);
    await alone('saveFolder', path, async () => {
      const before = formerly(path);
      const weights = freeName(path, 'model', '.safetensors');
      model.saveToFile(join(path, weights), { inputSignature: inputs });
      const files = encoder === null ? null : freeName(path, 'tokenizer', '.json');
      const described = { name, task: kind, model: config, inputSignature: inputs, generation, chatTemplate: template };
      await describe(path, { ...described, encoder }, weights, files);
      const kept = files === null ? [weights] : [weights, files];
      for (const old of await outdated(path, before, kept)) await rm(join(path, old), { force: true });
    });
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** Does something with a file of a folder; an error of the core tells which file it is about. */
function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof LayerError) || error.message.includes(path)) throw error;
    throw refusal(error.code, `openFolder: ${path}: ${withoutCode(error.message)}`, error);
  }
}

/** Refuses a file that a description names and that is not there. */
function needed(folder: string, name: string, what: string): string {
  const path = join(folder, name);
  if (existsSync(path)) return path;
  throw refusal('Io', `openFolder: ${folder} has no ${name}, ${what} that its model.json names`);
}

function encoderIn(folder: string, name: string): Encoder {
  const path = needed(folder, name, 'the encoder');
  return inFile(path, () => loadEncoder(path));
}

/**
 * Opens a model that {@link saveFolder} saved, or that `tallow train` left in its folder.
 *
 * @param folder - Path of the folder.
 * @returns The model with its weights, its encoder, and how it writes.
 * @throws `TypeError`: `folder` is not a string.
 * @throws {@link LayerError} `Io`: there is no such folder, no model in it, a file is missing or damaged, or `model.json` is no JSON.
 * @throws {@link LayerError} `InvalidArgument`: `model.json` has an unknown key or a value that does not fit, is of a newer version of the format, or the
 * encoder has ids that the model lacks.
 * @throws {@link LayerError} `WeightsMismatch`: the weights are not those of the model.
 * @example
 * ```ts
 * const config: tl.models.LayerConfig = ['Serial', ['Dense', 8], 'Relu', ['Dense', 2]];
 * const inputSignature = { shape: [1, 3], dtype: 'float32' } as const;
 * const saved = tl.models.fromConfig(config);
 * saved.init(inputSignature);
 * await tl.models.saveFolder('points', { model: saved, config, inputSignature, task: 'predict' });
 *
 * const { model, task } = await tl.models.openFolder('points');
 * task; // → 'predict'
 * String(model([[1, 2, 3]])) === String(saved([[1, 2, 3]])); // → true
 * ```
 */
export async function openFolder(folder: string): Promise<OpenedModel> {
  const path = text('openFolder: folder', folder);
  for (let left = TRIES; left > 0; left -= 1) {
    const before = versionOf(path);
    try {
      const opened = opening(path);
      if (versionOf(path) === before) return opened;
      opened.model.dispose();
    } catch (error) {
      if (versionOf(path) === before) throw error;
    }
  }
  const how = 'save more seldom, or into another folder';
  throw refusal('Io', `openFolder: ${path} was saved anew ${TRIES} times while it was read; ${how}`);
}

/** How often a folder is read anew that is saved meanwhile. */
const TRIES = 100;

/** Tells one `model.json` of a folder from the next: each is a new file. */
function versionOf(folder: string): string | undefined {
  try {
    const { ino, ctimeNs, size } = statSync(join(folder, DESCRIPTION), { bigint: true });
    return `${ino} ${ctimeNs} ${size}`;
  } catch {
    // What reads it says why it cannot be read.
    return undefined;
  }
}

/** Opens a model, of which a part may be of another one where the folder is saved meanwhile. */
function opening(path: string): OpenedModel {
  const description = readDescription('openFolder', path);
  const { name, task, inputSignature, generation } = description;
  const inputs = checked(inputSignature);
  const made = inFile(join(path, DESCRIPTION), () => layerOf('model', description.model));
  const weights = needed(path, description.weights, 'the weights');
  const encoder = description.encoder === null ? null : encoderIn(path, description.encoder);
  checkVocabulary(`openFolder: ${path}`, task, made, inputs, encoder);
  const chatTemplate = templateIn('openFolder', path, description.chatTemplate);
  const model = made.withMode('eval');
  inFile(weights, () => model.initFromFile(weights, { inputSignature: inputs }));
  const config = description.model as LayerConfig;
  return { name, task, model, config, inputSignature: inputs, encoder, generation, chatTemplate };
}

/**
 * Makes the layer or model of a config, as folders of models and the configs of `tallow train` have it.
 *
 * @param config - The name of a factory, or a list of the name and the arguments. A list among the arguments that begins with a name is a layer of its own;
 * in options a name stands for the factory.
 * @returns The layer, without weights.
 * @throws {@link LayerError} `InvalidArgument`: there is no such layer, or the config holds what JSON does not.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
 * @example
 * ```ts
 * const model = tl.models.fromConfig(['Serial', ['Dense', 8], 'Relu', ['Dense', 2]]);
 * String(model); // → 'Serial[\n  Dense_8\n  Serial[\n    Relu\n  ]\n  Dense_2\n]'
 * ```
 */
export function fromConfig(config: LayerConfig): Layer {
  return layerOf('fromConfig: config', config);
}
