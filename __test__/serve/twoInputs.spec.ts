/** A model that takes a source and a target, while it is served. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { chatPrompt, encoder, translator } from './support/models.js';
import { bodyOf, eventsOf, metric, post, until, withServer } from './support/running.js';

let url = '';
withServer(
  test,
  () => ({ models: [translator()], limits: { batch: 8 } }),
  (its) => (url = its),
);

const { model } = translator();
const sampled = (source: string, seed: number, more: tl.decoding.GenerateOptions = {}): Promise<tl.decoding.Sample> =>
  tl.decoding.sample(model, [], {
    encoder,
    inputs: [...encoder.encode(source)],
    rng: tl.random.key(seed),
    eosId: 255,
    ...more,
  });
const ask = (body: object): ReturnType<typeof post> => post(`${url}/v1/completions`, { model: 'translator', ...body });

test('prompts are sources: the text is that of sampling, whole, as a stream, in company, of several at once', async (t) => {
  const sources = ['to be', 'or not to be, that is', 'x', 'ünï'];
  const wanted = await Promise.all(sources.map((source, i) => sampled(source, i, { maxTokens: 20 + i })));
  await Promise.all(
    sources.map(async (prompt, i) => {
      const body = { prompt, seed: i, max_tokens: 20 + i };
      const [whole, stream] = await Promise.all([ask(body), ask({ ...body, stream: true })]);
      const { choices, usage } = bodyOf(whole);
      t.is(choices[0]!.text, wanted[i]!.text!, whole.text);
      t.is(choices[0]!.finish_reason, wanted[i]!.finishReason);
      t.deepEqual(
        [usage.prompt_tokens, usage.completion_tokens],
        [encoder.encode(prompt).length, wanted[i]!.tokens.length],
      );
      const events = eventsOf(stream).flatMap(({ choices }) => choices);
      t.is(events.map(({ text }) => text).join(''), wanted[i]!.text!);
      t.is(events.at(-1)!.finish_reason, wanted[i]!.finishReason);
    }),
  );
  const several = bodyOf(await ask({ prompt: sources, seed: 3, max_tokens: 9, n: 2 }));
  const alone = await Promise.all(
    sources.flatMap((source) => [
      sampled(source, 3, { maxTokens: 9 }),
      sampled(source, 3, { maxTokens: 9, rng: tl.random.foldIn(tl.random.key(3), 1) }),
    ]),
  );
  t.deepEqual(
    several.choices.map(({ text }) => text),
    alone.map(({ text }) => text!),
  );
});

test('a chat is a source', async (t) => {
  const body = { model: 'translator', messages: [{ role: 'user', content: 'hi' }], seed: 5, max_completion_tokens: 12 };
  const answer = await post(`${url}/v1/chat/completions`, body);
  const { choices } = JSON.parse(answer.text) as { choices: { message: { content: string } }[] };
  const { text } = await sampled(chatPrompt(['user', 'hi']), 5, { maxTokens: 12 });
  t.is(choices[0]!.message.content, text!);
});

test('sources and targets end where the model does, and the next request is right', async (t) => {
  // A target may fill all positions, and no more.
  const { text, finishReason, tokens } = await sampled('go', 1, { maxTokens: 1000, eosId: null });
  const full = bodyOf(await ask({ prompt: 'go', seed: 1, max_tokens: 1000, logit_bias: {} }));
  t.is(tokens.length, 64);
  t.is(finishReason, 'length');
  t.true(text!.startsWith(full.choices[0]!.text));
  const long = await ask({ prompt: 'x'.repeat(65), seed: 1 });
  t.deepEqual([long.status, bodyOf(long).error.code], [400, 'invalid_value'], long.text);
  t.regex(bodyOf(long).error.message, /65 positions.*64/);
  const empty = await ask({ prompt: '', seed: 1 });
  t.deepEqual([empty.status, bodyOf(empty).error.param], [400, 'prompt'], empty.text);
  const next = bodyOf(await ask({ prompt: 'next', seed: 2, max_tokens: 8 }));
  t.is(next.choices[0]!.text, (await sampled('next', 2, { maxTokens: 8 })).text!);
  await until(async () => (await metric(url, 'tallow_cache_bytes{model="translator"}')) === 0);
});
