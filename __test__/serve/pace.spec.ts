/** When streams write, and that what they write does not hang on it. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import * as tl from '../../src/index.js';
import { createServer } from '../../src/serve/index.js';
import { Mailbox } from '../../src/serve/mailbox.js';
import { Pace } from '../../src/serve/pace.js';
import { encoder, lm } from './support/models.js';
import { bodyOf, eventsOf, post } from './support/running.js';

test('a stream that has not written for long writes at once, the others together when the time of the first has come', async (t) => {
  const pace = new Pace(20);
  const written: string[] = [];
  const stream = (name: string): (() => void) => {
    return () => void written.push(name);
  };
  const [first, second, third] = [stream('first'), stream('second'), stream('third')];
  pace.ask(first, -Infinity);
  pace.ask(first, -Infinity);
  t.deepEqual(written, [], 'more may come in the same turn');
  await Promise.resolve();
  t.deepEqual(written, ['first']);
  pace.ask(first, performance.now());
  pace.ask(second, performance.now());
  pace.soon(third);
  pace.ask(second, performance.now());
  await Promise.resolve();
  t.deepEqual(written, ['first', 'third'], 'an end is written at once');
  while (written.length < 4) await sleep(5);
  t.deepEqual(written, ['first', 'third', 'first', 'second']);
  pace.ask(first, performance.now());
  pace.soon(first);
  await Promise.resolve();
  await sleep(60);
  t.deepEqual(written, ['first', 'third', 'first', 'second', 'first'], 'once is enough');

  const always = new Pace(0);
  always.ask(second, performance.now());
  await Promise.resolve();
  t.is(written.at(-1), 'second', 'nothing waits');
});

test('a mailbox gives items in their order, then what it failed with', async (t) => {
  const box = new Mailbox<number>();
  let heard = 0;
  box.push(1);
  box.listen(() => (heard += 1));
  box.push(2);
  t.deepEqual([box.unread, heard, box.take(), box.take()], [2, 2, [1, 2], []]);
  box.push(3);
  const error = new Error('over');
  box.fail(error);
  box.fail(new Error('again'));
  box.close();
  t.deepEqual([heard, box.isClosed, box.take()], [4, true, [3]]);
  t.is(
    t.throws(() => box.take()),
    error,
  );
  t.is(await t.throwsAsync(box.some()), error);
  t.is(await t.throwsAsync(box.all()), error);

  const whole = new Mailbox<number>();
  const all = whole.all();
  whole.push(4);
  whole.push(5);
  whole.close();
  whole.fail(error);
  t.deepEqual([await all, whole.take()], [[4, 5], undefined], 'what is over cannot fail');
});

test('each token is an event of its own however long it waits, and the text is the same', async (t) => {
  const wanted = await tl.decoding.sample(lm().model, 'go', {
    encoder,
    rng: tl.random.key(2),
    maxTokens: 60,
    logProbs: 2,
  });
  // A stop string of which a part comes with one write, and the rest with another.
  const stop = wanted.text!.slice(20, 24);
  const { text } = await tl.decoding.sample(lm().model, 'go', { encoder, rng: tl.random.key(2), maxTokens: 60, stop });
  t.false(text!.includes(stop));
  for (const flushMs of [0, 1, 60_000]) {
    const server = await createServer({ models: [lm()], metrics: false, limits: { flushMs } });
    t.teardown(() => server.close());
    const url = await server.listen({ port: 0 });
    await server.ready();
    const body = { model: 'lm', prompt: 'go', seed: 2, max_tokens: 60, stream: true };
    const told = eventsOf(await post(`${url}/v1/completions`, { ...body, logprobs: 2 }));
    const choices = told.flatMap(({ choices }) => choices);
    t.is(choices.length, 60, `${flushMs}`);
    t.deepEqual(
      choices.map(({ finish_reason }) => finish_reason),
      [...Array.from({ length: 59 }, () => null), 'length'],
    );
    t.is(choices.map(({ text }) => text).join(''), wanted.text!);
    t.deepEqual(
      choices.flatMap(({ logprobs }) => logprobs!.token_logprobs),
      wanted.logProbs,
    );
    t.deepEqual(
      choices.map(({ logprobs }) => logprobs!.text_offset[0]),
      choices.map((_, i) => choices.slice(0, i).reduce((sum, { text }) => sum + text.length, 0)),
    );
    const cut = eventsOf(await post(`${url}/v1/completions`, { ...body, stop })).flatMap(({ choices }) => choices);
    t.deepEqual([cut.map(({ text }) => text).join(''), cut.at(-1)!.finish_reason], [text!, 'stop']);
    const whole = await post(`${url}/v1/completions`, { ...body, stream: false });
    t.is(bodyOf(whole).choices[0]!.text, wanted.text!);
  }
});
