/**
 * `/v1/completions`: text that goes on from a prompt.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { found, isList } from '../bridge/found.js';
import { type GeneratedToken } from '../decoding/options.js';
import { invalid, unsupported } from './errors.js';
import { type Part } from './generation.js';
import { type CompletionBody, textOf } from './schema.js';
import { askedOf, byOutput, choiceJson, FINGERPRINT, finishOf, idsOf, joined, shownLogProb, usageOf } from './text.js';
import { type TextRoute } from './textRoute.js';
import { type Writer } from './writer.js';

/** As many tokens as OpenAI's interface gives where neither request nor model says. */
const MAX_TOKENS = 16;

const isIds = (x: unknown): x is readonly number[] =>
  isList(x) && x.every((id) => typeof id === 'number' && Number.isSafeInteger(id) && id >= 0);

/** The ids of a prompt, or of several: texts, or ids. */
async function promptsOf(writer: Writer, prompt: unknown): Promise<readonly (readonly number[])[]> {
  if (prompt === undefined || prompt === null) return [[]];
  if (typeof prompt === 'string') return idsOf(writer, [textOf('prompt', prompt)]);
  const size = writer.encoder.vocabSize;
  const checked = (ids: readonly number[]): readonly number[] => {
    const wrong = ids.find((id) => id >= size);
    if (wrong === undefined) return ids;
    throw invalid(
      'prompt',
      `\`prompt\` has the id ${wrong}, but the model ${writer.name} has the ids 0 to ${size - 1}`,
    );
  };
  if (isIds(prompt)) return [checked(prompt)];
  if (isList(prompt) && prompt.every(isIds)) return prompt.map(checked);
  if (isList(prompt) && prompt.every((one) => typeof one === 'string'))
    return idsOf(
      writer,
      prompt.map((one, i) => textOf(`prompt[${i}]`, one)),
    );
  const wanted = 'a string, ids of tokens (whole numbers of at least 0), or a list of either';
  throw invalid('prompt', `\`prompt\` must be ${wanted}, got ${found(prompt)}`);
}

/** Log-probabilities in the form of completions. */
interface LogProbs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Record<string, number>[] | null;
  readonly text_offset: number[];
}

/** What is told of tokens; `offset` is where their text begins. */
function logProbsOf(writer: Writer, tokens: readonly GeneratedToken[], top: number, offset: number): LogProbs {
  let at = offset;
  return {
    tokens: tokens.map(({ token }) => writer.textOf(token).text),
    token_logprobs: tokens.map(shownLogProb),
    top_logprobs:
      top === 0
        ? null
        : tokens.map(({ topLogProbs = [] }) =>
            Object.fromEntries(topLogProbs.map((one) => [writer.textOf(one.token).text, shownLogProb(one)])),
          ),
    text_offset: tokens.map(({ text = '' }) => {
      const here = at;
      at += text.length;
      return here;
    }),
  };
}

/** The route. */
export const completions: TextRoute<CompletionBody> = {
  async ask(writer, body, limits) {
    if (body.echo === true)
      throw unsupported('echo', '`echo` is not supported by this server; put the prompt before the text');
    if (typeof body.suffix === 'string')
      throw unsupported('suffix', '`suffix` is not supported by this server: its models write on from a prompt only');
    if ((body.best_of ?? 1) > (body.n ?? 1))
      throw unsupported('best_of', '`best_of` greater than `n` is not supported by this server; leave it out');
    const prompts = await promptsOf(writer, body.prompt);
    const maxTokens = body.max_tokens ?? Math.min(writer.defaults.maxTokens ?? MAX_TOKENS, limits.maxTokens);
    return askedOf(writer, body, prompts, { param: 'prompt', maxTokens, logProbs: body.logprobs ?? 0, limits });
  },

  async whole(writer, body, asked, generation) {
    const { logprobs } = body;
    const parts = byOutput(await generation.parts.all());
    const count = asked.prompts.length * asked.outputs;
    const outputs = Array.from({ length: count }, (_, index) => parts.get(index) ?? []);
    return {
      ...headOf(body.model),
      choices: outputs.map((tokens, index) => ({
        index,
        text: joined(tokens),
        logprobs: typeof logprobs === 'number' ? logProbsOf(writer, tokens, logprobs, 0) : null,
        finish_reason: tokens.length === 0 ? 'length' : finishOf(tokens.at(-1)!),
      })),
      usage: usageOf(
        generation,
        outputs.reduce((sum, { length }) => sum + length, 0),
      ),
    };
  },

  chunks(writer, body, _asked, generation) {
    const head = headOf(body.model);
    const { logprobs } = body;
    const withUsage = body.stream_options?.include_usage === true;
    const json = choiceJson(head, withUsage);
    const offsets = new Map<number, number>();
    let written = 0;
    return function* (parts: readonly Part[] | undefined) {
      if (parts === undefined) {
        if (withUsage) yield JSON.stringify({ ...head, choices: [], usage: usageOf(generation, written) });
        return;
      }
      written += parts.length;
      for (const { index, token } of parts) {
        const { text = '' } = token;
        const finish = finishOf(token);
        if (typeof logprobs !== 'number') {
          if (text !== '' || finish !== null) yield json({ index, text, logprobs: null, finish_reason: finish });
          continue;
        }
        const offset = offsets.get(index) ?? 0;
        offsets.set(index, offset + text.length);
        yield json({ index, text, logprobs: logProbsOf(writer, [token], logprobs, offset), finish_reason: finish });
      }
    };
  },
};

/** What all objects of an answer begin with. */
const headOf = (model: string): object => ({
  id: `cmpl-${randomUUID()}`,
  object: 'text_completion',
  created: Math.floor(Date.now() / 1000),
  model,
  system_fingerprint: FINGERPRINT,
});
