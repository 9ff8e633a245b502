/**
 * `tallow generate`: lets a model write.
 *
 * @module
 */
import { text as readAll } from 'node:stream/consumers';
import { type Command } from 'commander';
import { type Encoder } from '../data/encoder.js';
import { type Beam, type BeamSearchOptions } from '../decoding/beamSearch.js';
import { type GeneratedToken, type GenerateOptions } from '../decoding/options.js';
import { type OpenedModel } from '../models/folder/folder.js';
import { command } from './command.js';
import { codeOf, EXIT, Mistake, shownMessage } from './mistake.js';
import { folderMistake, checkModelFolder } from './modelFolder.js';
import { onClosed, print, printJson, write } from './output.js';
import { sampled, type SamplingWords, withSampling } from './sampling.js';

interface Options extends SamplingWords {
  readonly json?: boolean;
  readonly source?: string;
}

type Ask = string | number[];

/** What a request can mend. */
const MISTAKES = ['InvalidOption', 'InvalidArgument', 'IndexOutOfRange'];

/** What went wrong with a request: the mistake of who asked, or a failure. */
const asked = (error: unknown): unknown =>
  MISTAKES.includes(codeOf(error) ?? '') ? new Mistake(shownMessage(error), { cause: error }) : error;

/** Text for the encoder of a model, or ids for one that has none. */
function ask(what: string, folder: string, given: string, encoder: Encoder | null): Ask {
  if (encoder !== null) return given;
  const words = given.split(/[\s,]+/).filter((word) => word !== '');
  if (words.every((word) => /^\d+$/.test(word))) return words.map(Number);
  throw new Mistake(`${what}: ${folder} has no encoder; give ids of tokens, as \`3 1 4\``);
}

/** The prompt of the command, or what standard input holds. */
async function promptOf(given: string | undefined): Promise<string> {
  if (given !== undefined) return given;
  return process.stdin.isTTY ? '' : (await readAll(process.stdin)).replace(/\r?\n$/, '');
}

/** Ends outputs with what they have, at a signal or when nobody reads any more. */
class Ender {
  /** How the process ends, if it was asked to. */
  code: number | undefined;
  readonly #abort = new AbortController();

  constructor() {
    process.on('SIGINT', () => this.#end(EXIT.interrupted));
    process.on('SIGTERM', () => this.#end(EXIT.terminated));
    onClosed((code) => this.#closed(code));
  }
  get signal(): AbortSignal {
    return this.#abort.signal;
  }
  #closed(code: number): void {
    this.code ??= code;
    this.#abort.abort();
  }
  #end(code: number): void {
    // Whoever asks twice does not want to wait.
    if (this.code !== undefined) process.exit(code);
    this.#closed(code);
  }
}

/** A token with its log-probability, and those of the likeliest ones. */
function shownToken({ token, logProb, topLogProbs = [] }: GeneratedToken, encoder: Encoder | null): string {
  const named = (id: number): string => (encoder === null ? String(id) : JSON.stringify(encoder.decode([id])));
  const others = topLogProbs.map((one) => `${named(one.token)} ${one.logProb.toFixed(3)}`);
  return [named(token), logProb.toFixed(3), ...others].join('\t');
}

/** Writes an output as it comes. */
async function stream(
  tokens: AsyncIterator<GeneratedToken>,
  index: number,
  { json, logprobs }: Options,
  encoder: Encoder | null,
): Promise<void> {
  const ids: number[] = [];
  const texts: string[] = [];
  let finishReason: string = 'cancelled';
  for (;;) {
    const { value, done } = await tokens.next();
    if (done === true) break;
    ids.push(value.token);
    texts.push(value.text ?? '');
    finishReason = value.finishReason ?? finishReason;
    if (json === true) await write(`${JSON.stringify({ event: 'token', index, ...value })}\n`);
    else if (logprobs !== undefined) await write(`${shownToken(value, encoder)}\n`);
    else if (encoder === null) await write(`${ids.length === 1 ? '' : ' '}${value.token}`);
    else await write(value.text ?? '');
  }
  if (json === true) {
    const whole = encoder === null ? {} : { text: texts.join('') };
    return printJson({ event: 'end', index, tokens: ids, ...whole, finishReason });
  }
  if (logprobs === undefined) print('');
}

/** A seed that nobody chose. A generator for secrets would take longer to load than the first token. */
const anySeed = (): number => Math.floor(Math.random() * 2 ** 32);

/** Draws outputs, all at once, and writes them one after another. */
async function draw(opened: OpenedModel, prompt: Ask, given: GenerateOptions, options: Options): Promise<number> {
  const { Decoder } = await import('../decoding/decoder.js');
  const { foldIn, key } = await import('../tensor/random.js');
  const { json, n, seed = anySeed(), logprobs = 0 } = options;
  if (json === true) printJson({ event: 'start', model: opened.name, seed });
  const ender = new Ender();
  const decoder = new Decoder(opened.model);
  // The first output is the same however many there are.
  const all = Array.from({ length: n }, (_, i) =>
    decoder.generate(prompt, { ...given, logProbs: logprobs, rng: foldIn(key(seed), i) }),
  );
  ender.signal.addEventListener('abort', () => all.forEach((one) => void one.return?.()));
  for (const [index, tokens] of all.entries()) {
    if (index > 0 && json !== true && ender.code === undefined) print('---');
    if (index === 0 || ender.code === undefined) await stream(tokens, index, options, opened.encoder);
  }
  return ender.code ?? EXIT.ok;
}

/** Looks for the likeliest outputs. */
async function search(opened: OpenedModel, prompt: Ask, given: GenerateOptions, options: Options): Promise<number> {
  const { beamSearch } = await import('../decoding/beamSearch.js');
  const { encoder, inputs, startId, eosId = null, maxTokens: maxLength } = given;
  const ender = new Ender();
  const asks: BeamSearchOptions = { encoder, inputs, startId, eosId, maxLength, nBeams: options.beams };
  let beams: Beam[] = [];
  try {
    beams = await beamSearch(opened.model, prompt, { ...asks, signal: ender.signal });
  } catch (error) {
    if (ender.code === undefined) throw error;
  }
  for (const [index, { tokens, ...rest }] of beams.slice(0, options.n).entries()) {
    if (options.json === true) printJson({ event: 'beam', index, tokens, ...rest });
    else print(`${index > 0 ? '---\n' : ''}${rest.text ?? tokens.join(' ')}`);
  }
  return ender.code ?? EXIT.ok;
}

async function run(folder: string, given: string | undefined, options: Options): Promise<void> {
  checkModelFolder(folder);
  const { openFolder } = await import('../models/folder/folder.js');
  const [opened, text] = await Promise.all([
    openFolder(folder).catch((error: unknown) => {
      throw folderMistake(error);
    }),
    promptOf(given),
  ]);
  const { encoder, generation, task } = opened;
  if (task !== 'generate') throw new Mistake(`${folder} holds a model that writes nothing: its task is '${task}'`);
  const prompt = ask('the prompt', folder, text, encoder);
  const inputs = options.source === undefined ? undefined : ask('--source', folder, options.source, encoder);
  const asks = { ...sampled(options, generation), encoder, inputs };
  try {
    process.exitCode = await (options.beams === undefined ? draw : search)(opened, prompt, asks, options);
  } catch (error) {
    throw asked(error);
  }
}

/** Makes the command. */
export function generate(): Command {
  const made = command('generate', 'Lets a model write on from a prompt; the text comes as it is written.', [
    ['tallow generate runs/book "Call me"', 'a model in a folder, as `tallow train` leaves it'],
    ['tallow generate runs/book < prompt.txt', 'a prompt from standard input'],
    ['tallow generate runs/book "Call" --temperature 0.7 --top-k 40 --seed 1', 'likely words, the same each time'],
    ['tallow generate runs/book "Call" --json --logprobs 3', 'a line of JSON for each token'],
  ])
    .argument('<folder>', 'the folder of a model: model.json, its weights and its encoder')
    .argument('[prompt]', 'text, or ids for a model without encoder; standard input if left out')
    .option('--source <text>', 'the source, for a model of a source and a target');
  return withSampling(made).action(run);
}
