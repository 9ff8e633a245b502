/** A server in a process of its own, as the clients of others see it: `openai`, `ai`, and parsers of events. */
import test from 'ava';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import { createParser } from 'eventsource-parser';
import OpenAI, { AuthenticationError, BadRequestError, InternalServerError, NotFoundError } from 'openai';
import * as tl from '../../src/index.js';
import { chatPrompt, encoder, lm } from './support/models.js';
import { type AnswerBody, start } from './support/running.js';

const { model } = lm();
const sampled = (prompt: string, options: tl.decoding.GenerateOptions): Promise<tl.decoding.Sample> =>
  tl.decoding.sample(model, prompt, { encoder, rng: tl.random.key(7), ...options });

const CHAT = [
  { role: 'system', content: 'be brief' },
  { role: 'user', content: 'hello' },
] as const;
const PROMPT = chatPrompt(['system', 'be brief'], ['user', 'hello']);

test('the client of OpenAI gets what the model writes, whole and as a stream', async (t) => {
  const { url } = await start(t, { apiKey: 'secret' });
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'secret', maxRetries: 0 });

  const models = await client.models.list();
  t.deepEqual(
    models.data.map(({ id }) => id),
    ['lm', 'endless', 'broken', 'points', 'texts'],
  );
  t.is((await client.models.retrieve('lm')).object, 'model');

  const wanted = await sampled('Call me', { maxTokens: 20, topP: 0.9, temperature: 0.7, logProbs: 3 });
  const request = { model: 'lm', prompt: 'Call me', max_tokens: 20, top_p: 0.9, temperature: 0.7, seed: 7 };
  const whole = await client.completions.create({ ...request, logprobs: 3 });
  t.is(whole.object, 'text_completion');
  t.is(whole.choices[0]!.text, wanted.text!);
  t.is(whole.choices[0]!.finish_reason, 'length');
  t.deepEqual(whole.usage, { prompt_tokens: 7, completion_tokens: 20, total_tokens: 27 });
  t.deepEqual(whole.choices[0]!.logprobs!.token_logprobs, wanted.logProbs);
  t.is(whole.choices[0]!.logprobs!.top_logprobs!.length, 20);

  const stream = await client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  let text = '';
  const finishes: (string | null)[] = [];
  let usage: OpenAI.CompletionUsage | undefined;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? '';
    finishes.push(...chunk.choices.map(({ finish_reason }) => finish_reason));
    usage = chunk.usage ?? usage;
  }
  t.is(text, wanted.text!);
  t.deepEqual([finishes.filter((one) => one !== null), finishes.at(-1)], [['length'], 'length']);
  t.is(usage?.completion_tokens, 20);

  const several = await client.completions.create({ ...request, prompt: ['a', 'b'], n: 2 });
  t.deepEqual(
    several.choices.map(({ index }) => index),
    [0, 1, 2, 3],
  );
  const settings = { maxTokens: 20, topP: 0.9, temperature: 0.7 };
  const second = { rng: tl.random.foldIn(tl.random.key(7), 1) };
  const all = await Promise.all([
    sampled('a', settings),
    sampled('a', { ...settings, ...second }),
    sampled('b', settings),
    sampled('b', { ...settings, ...second }),
  ]);
  t.deepEqual(
    several.choices.map(({ text }) => text),
    all.map(({ text }) => text!),
  );

  const chat = await sampled(PROMPT, {
    maxTokens: 12,
    presencePenalty: 0.5,
    frequencyPenalty: 0.2,
    logitBias: { 65: 5 },
  });
  const asked = {
    model: 'lm',
    messages: [...CHAT],
    max_completion_tokens: 12,
    presence_penalty: 0.5,
    frequency_penalty: 0.2,
    logit_bias: { 65: 5 },
    seed: 7,
  };
  const said = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 2 });
  t.is(said.choices[0]!.message.content, chat.text!);
  t.is(said.usage?.prompt_tokens, PROMPT.length);
  const tokens = said.choices[0]!.logprobs!.content!;
  t.deepEqual(
    tokens.map(({ logprob }) => logprob),
    chat.logProbs,
  );
  t.true(tokens.every(({ top_logprobs }) => top_logprobs.length === 2));

  const runner = client.chat.completions.stream({ ...asked, stream: true });
  const deltas: string[] = [];
  runner.on('content', (delta) => deltas.push(delta));
  const final = await runner.finalChatCompletion();
  t.is(final.choices[0]!.message.content, chat.text!);
  t.is(deltas.join(''), chat.text!);

  const stop = chat.text!.slice(3, 5);
  const cut = await client.chat.completions.create({ ...asked, stop: [stop] });
  const { text: short, finishReason } = await sampled(PROMPT, {
    maxTokens: 12,
    presencePenalty: 0.5,
    frequencyPenalty: 0.2,
    logitBias: { 65: 5 },
    stop,
  });
  t.deepEqual([cut.choices[0]!.message.content, cut.choices[0]!.finish_reason], [short, finishReason]);
  t.is(finishReason, 'stop');
  t.false(short!.includes(stop));
});

test('the client of OpenAI hears of errors by their classes', async (t) => {
  const { url } = await start(t, { apiKey: 'secret' });
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'secret', maxRetries: 0 });
  const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'other', maxRetries: 0 });
  await t.throwsAsync(wrong.models.list(), { instanceOf: AuthenticationError });
  await t.throwsAsync(client.models.retrieve('nobody'), { instanceOf: NotFoundError });
  const bad = await t.throwsAsync(client.completions.create({ model: 'lm', prompt: 'a', temperature: -1 }), {
    instanceOf: BadRequestError,
  });
  t.deepEqual([bad.param, bad.code, bad.type], ['temperature', 'invalid_value', 'invalid_request_error']);
  await t.throwsAsync(client.completions.create({ model: 'broken', prompt: 'a' }), {
    instanceOf: InternalServerError,
    message: /NaN/,
  });
});

test('the SDK of Vercel gets what the model writes, whole and as a stream', async (t) => {
  const { url } = await start(t);
  const provider = createOpenAICompatible({ name: 'tallow', baseURL: `${url}/v1`, includeUsage: true });
  const settings = { model: provider('lm'), messages: [...CHAT], maxOutputTokens: 12, seed: 7, maxRetries: 0 };
  const wanted = await sampled(PROMPT, { maxTokens: 12 });
  const whole = await generateText({ ...settings, allowSystemInMessages: true });
  t.deepEqual([whole.text, whole.finishReason], [wanted.text, 'length']);
  t.is(whole.usage.outputTokens, 12);
  const streamed = streamText({ ...settings, allowSystemInMessages: true });
  const parts: string[] = [];
  for await (const part of streamed.textStream) parts.push(part);
  t.is(parts.join(''), wanted.text!);
  t.deepEqual([await streamed.finishReason, (await streamed.usage).outputTokens], ['length', 12]);
});

test('a stream is events as browsers parse them', async (t) => {
  const { url } = await start(t);
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'lm', prompt: 'Call me', max_tokens: 20, seed: 7, n: 3, stream: true }),
  });
  t.is(response.headers.get('content-type'), 'text/event-stream');
  t.is(response.headers.get('cache-control'), 'no-cache');
  const events: string[] = [];
  const faults: unknown[] = [];
  const parser = createParser({ onEvent: ({ data }) => events.push(data), onError: (error) => faults.push(error) });
  const text = new TextDecoder();
  for await (const bytes of response.body!) parser.feed(text.decode(bytes, { stream: true }));
  t.deepEqual(faults, []);
  t.is(events.pop(), '[DONE]');
  const chunks = events.map((event) => JSON.parse(event) as AnswerBody);
  const { text: first } = await sampled('Call me', { maxTokens: 20 });
  const texts = [0, 1, 2].map((wanted) =>
    chunks.flatMap(({ choices }) => choices.filter(({ index }) => index === wanted).map(({ text }) => text)).join(''),
  );
  t.is(texts[0], first);
  t.is(new Set(texts).size, 3, 'each has draws of its own');
});
