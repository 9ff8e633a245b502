/**
 * `/v1/chat/completions`: what comes next in a chat.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { found, isList, isRecord } from '../bridge/found.js';
import { type GeneratedToken, type TokenLogProb } from '../decoding/options.js';
import { type Message } from './chatTemplate.js';
import { invalid, unsupported } from './errors.js';
import { type Part } from './generation.js';
import { type ChatBody, checkChat, textOf } from './schema.js';
import { askedOf, byOutput, choiceJson, FINGERPRINT, finishOf, idsOf, joined, shownLogProb, usageOf } from './text.js';
import { type TextRoute } from './textRoute.js';
import { type Writer } from './writer.js';

/** The text of a message: a string, or parts of text. */
function contentOf(where: string, content: unknown): string {
  if (!isList(content)) return textOf(where, content);
  const texts = content.map((part, i) => {
    const here = `${where}[${i}]`;
    if (!isRecord(part)) throw invalid(here, `\`${here}\` must be an object, got ${found(part)}`);
    if (part['type'] !== 'text')
      throw unsupported(here, `\`${here}\` is of type ${found(part['type'])}, but this server takes text only`);
    return textOf(`${here}.text`, part['text']);
  });
  return texts.join('');
}

/** A token in the form of chats. */
const tokenOf = (writer: Writer, one: TokenLogProb): object => {
  const { text, bytes } = writer.textOf(one.token);
  return { token: text, logprob: shownLogProb(one), bytes };
};

/** Log-probabilities in the form of chats. */
const logProbsOf = (writer: Writer, tokens: readonly GeneratedToken[]): object => ({
  content: tokens.map((token) => ({
    ...tokenOf(writer, token),
    top_logprobs: (token.topLogProbs ?? []).map((one) => tokenOf(writer, one)),
  })),
  refusal: null,
});

/** The route. */
export const chat: TextRoute<ChatBody> = {
  async ask(writer, body, limits) {
    checkChat(body);
    if (writer.chatTemplate === undefined)
      throw invalid('model', `the model ${writer.name} has no chat template; use /v1/completions`, 'no_chat_template');
    if (body.logprobs !== true && typeof body.top_logprobs === 'number')
      throw invalid('top_logprobs', '`top_logprobs` needs `logprobs`; set it to true');
    const messages: Message[] = body.messages.map(({ role, content }, i) => ({
      role,
      content: contentOf(`messages[${i}].content`, content),
    }));
    const prompts = await idsOf(writer, [writer.chatTemplate(messages)]);
    const byDefault = Math.min(writer.defaults.maxTokens ?? limits.maxTokens, limits.maxTokens);
    const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? byDefault;
    return askedOf(writer, body, prompts, { param: 'messages', maxTokens, logProbs: body.top_logprobs ?? 0, limits });
  },

  async whole(writer, body, asked, generation) {
    const parts = byOutput(await generation.parts.all());
    const outputs = Array.from({ length: asked.outputs }, (_, index) => parts.get(index) ?? []);
    return {
      ...headOf(body.model, 'chat.completion'),
      choices: outputs.map((tokens, index) => ({
        index,
        message: { role: 'assistant', content: joined(tokens), refusal: null },
        logprobs: body.logprobs === true ? logProbsOf(writer, tokens) : null,
        finish_reason: tokens.length === 0 ? 'length' : finishOf(tokens.at(-1)!),
      })),
      usage: usageOf(
        generation,
        outputs.reduce((sum, { length }) => sum + length, 0),
      ),
    };
  },

  chunks(writer, body, asked, generation) {
    const head = headOf(body.model, 'chat.completion.chunk');
    const withUsage = body.stream_options?.include_usage === true;
    const json = choiceJson(head, withUsage);
    let written = 0;
    let hasBegun = false;
    return function* (parts: readonly Part[] | undefined) {
      if (!hasBegun) {
        hasBegun = true;
        for (let index = 0; index < asked.outputs; index += 1) {
          const delta = { role: 'assistant', content: '' };
          yield json({ index, delta, logprobs: null, finish_reason: null });
        }
      }
      if (parts === undefined) {
        if (withUsage) yield JSON.stringify({ ...head, choices: [], usage: usageOf(generation, written) });
        return;
      }
      written += parts.length;
      for (const { index, token } of parts) {
        const { text: content = '' } = token;
        const finish = finishOf(token);
        if (content !== '' || body.logprobs === true) {
          const logprobs = body.logprobs === true ? logProbsOf(writer, [token]) : null;
          yield json({ index, delta: { content }, logprobs, finish_reason: null });
        }
        if (finish !== null) yield json({ index, delta: {}, logprobs: null, finish_reason: finish });
      }
    };
  },
};

/** What all objects of an answer begin with. */
const headOf = (model: string, object: string): object => ({
  id: `chatcmpl-${randomUUID()}`,
  object,
  created: Math.floor(Date.now() / 1000),
  model,
  system_fingerprint: FINGERPRINT,
});
