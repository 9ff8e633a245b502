/**
 * What requests for text have in common: prompts, options, counts.
 *
 * @module
 */
import { type GeneratedToken, type TokenLogProb } from '../decoding/options.js';
import { quoted } from '../bridge/found.js';
import { version } from '../bridge/version.js';
import { invalid } from './errors.js';
import { type Asked, type Generation, type Part } from './generation.js';
import { type Limits } from './options.js';
import { stopsOf, type TextBody } from './schema.js';
import { type Writer } from './writer.js';

/** What answers say of the server that made them. */
export const FINGERPRINT = `tallow-${version}`;

/** What OpenAI's interface tells of how many tokens there were. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** How many tokens there were. */
export const usageOf = ({ promptTokens }: Generation, written: number): Usage => ({
  prompt_tokens: promptTokens,
  completion_tokens: written,
  total_tokens: promptTokens + written,
});

/** Characters that are encoded at once: another thread costs more than so short a text takes. */
const SHORT = 2048;

/** The ids of texts; a tokenizer adds nothing, as a model begins with its start token. */
export async function idsOf(writer: Writer, texts: readonly string[]): Promise<readonly (readonly number[])[]> {
  const { encoder } = writer;
  const options = { addSpecialTokens: false };
  const isShort = texts.reduce((sum, { length }) => sum + length, 0) <= SHORT;
  const all = isShort ? texts.map((one) => encoder.encode(one, options)) : await encoder.encodeBatch(texts, options);
  return all.map((ids) => [...ids]);
}

/** Refuses biases of what is no token; the model does not have more tokens than its encoder. */
function checkBias(writer: Writer, bias: TextBody['logit_bias']): void {
  const size = writer.encoder.vocabSize;
  const wrong = Object.keys(bias ?? {}).find((id) => !/^(?:0|[1-9]\d*)$/.test(id) || Number(id) >= size);
  if (wrong === undefined) return;
  const message = `\`logit_bias\` names the token ${quoted(wrong)}, but the model ${writer.name} has the ids 0 to ${size - 1}`;
  throw invalid('logit_bias', message);
}

/** What is asked of a model by a body, with what the model does by default. */
export function askedOf(
  writer: Writer,
  body: TextBody,
  prompts: readonly (readonly number[])[],
  { param, maxTokens, logProbs, limits }: AskedDetails,
): Asked {
  if (body.stream !== true && body.stream_options !== undefined && body.stream_options !== null)
    throw invalid('stream_options', '`stream_options` is for streams; leave it out, or set `stream` to true');
  checkBias(writer, body.logit_bias);
  const outputs = body.n ?? 1;
  if (outputs * prompts.length > limits.outputs) {
    const message = `the request asks for ${outputs * prompts.length} outputs, but the server makes ${limits.outputs} for one request; ask for fewer`;
    throw invalid('n', message);
  }
  if (maxTokens > limits.maxTokens)
    throw invalid(
      'max_tokens',
      `the server writes ${limits.maxTokens} tokens at most, got ${maxTokens}; ask for fewer`,
    );
  const room = Math.min(...prompts.map((prompt) => writer.roomBehind(param, prompt)));
  const { defaults } = writer;
  return {
    prompts,
    outputs,
    maxTokens: Math.min(maxTokens, room),
    seed: body.seed ?? undefined,
    options: {
      temperature: body.temperature ?? defaults.temperature,
      topP: body.top_p ?? defaults.topP,
      topK: body.top_k ?? defaults.topK,
      minP: body.min_p ?? defaults.minP,
      presencePenalty: body.presence_penalty ?? defaults.presencePenalty,
      frequencyPenalty: body.frequency_penalty ?? defaults.frequencyPenalty,
      repetitionPenalty: body.repetition_penalty ?? defaults.repetitionPenalty,
      logitBias: body.logit_bias ?? defaults.logitBias,
      eosId: defaults.eosId,
      stopTokens: defaults.stopTokens,
      window: defaults.window,
      stop: stopsOf(body.stop ?? defaults.stop),
      logProbs,
    },
  };
}

/** What a body says in words of its own kind. */
interface AskedDetails {
  /** The field that the prompts are from. */
  readonly param: string;
  readonly maxTokens: number;
  readonly logProbs: number;
  readonly limits: Limits;
}

/** Why an output ended, in OpenAI's words, which has none for a time that was over. */
export function finishOf({ finishReason }: GeneratedToken): 'stop' | 'length' | null {
  if (finishReason === undefined) return null;
  return finishReason === 'stop' ? 'stop' : 'length';
}

/** A log-probability as OpenAI's interface tells it: JSON has no infinity. */
export const shownLogProb = ({ logProb }: TokenLogProb): number => Math.max(logProb, -9999);

/** The tokens of each output among those of all. */
export function byOutput(parts: readonly Part[]): ReadonlyMap<number, readonly GeneratedToken[]> {
  const all = new Map<number, GeneratedToken[]>();
  for (const { index, token } of parts) {
    const tokens = all.get(index);
    if (tokens === undefined) all.set(index, [token]);
    else tokens.push(token);
  }
  return all;
}

/** The text of tokens. */
export const joined = (tokens: readonly GeneratedToken[]): string => tokens.map(({ text }) => text ?? '').join('');

/** Makes the JSON of one choice after the other: all but the choice is the same in a stream, and made once. */
export function choiceJson(head: object, withUsage: boolean): (choice: object) => string {
  const begin = `${JSON.stringify(head).slice(0, -1)},"choices":[`;
  const end = withUsage ? '],"usage":null}' : ']}';
  return (choice) => `${begin}${JSON.stringify(choice)}${end}`;
}
