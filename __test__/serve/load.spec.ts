/** Many requests at once, clients that go away or read nothing, and what is left afterwards. */
import { connect } from 'node:net';
import test from 'ava';
import * as tl from '../../src/index.js';
import { encoder, endless, lm } from './support/models.js';
import { bodyOf, eventsOf, metric, post, start, until } from './support/running.js';

const writers = { lm: lm().model, endless: endless().model };
const sampled = (
  model: 'lm' | 'endless',
  prompt: string,
  seed: number,
  maxTokens: number,
): Promise<tl.decoding.Sample> => {
  const options = { encoder, rng: tl.random.key(seed), maxTokens };
  return tl.decoding.sample(
    writers[model],
    prompt,
    model === 'lm' ? options : { ...options, startId: null, temperature: 0.9 },
  );
};

/** What must be as it was, once nobody asks any more. */
async function rest(url: string): Promise<readonly number[]> {
  await until(async () => (await metric(url, 'tallow_requests_running{model="lm"}')) === 0);
  await until(async () => (await metric(url, 'tallow_requests_running{model="endless"}')) === 0);
  await until(async () => (await metric(url, 'tallow_cache_bytes{model="lm"}')) === 0);
  await until(async () => (await metric(url, 'tallow_cache_bytes{model="endless"}')) === 0);
  return [
    await metric(url, 'tallow_memory_bytes{kind="tensors"}'),
    await metric(url, 'tallow_requests_waiting{model="lm"}'),
    await metric(url, 'tallow_batch_size{model="endless"}'),
  ];
}

const streamBody = (text: string): string =>
  eventsOf({ text })
    .map(({ choices }) => choices[0]?.text ?? '')
    .join('');

test.serial(
  'of 200 streams a tenth is aborted; the others get the text that they get alone, and memory is as before',
  async (t) => {
    const { url } = await start(t);
    await post(`${url}/v1/completions`, { model: 'lm', prompt: 'warm', seed: 1 });
    const before = await rest(url);
    const alone = await Promise.all(
      Array.from({ length: 200 }, (_, i) => sampled('lm', `prompt ${i % 20}`, i % 10, 10 + (i % 50))),
    );
    let aborted = 0;
    const texts = await Promise.all(
      alone.map(async (_, i) => {
        const gone = new AbortController();
        const response = await fetch(`${url}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            model: 'lm',
            prompt: `prompt ${i % 20}`,
            seed: i % 10,
            max_tokens: 10 + (i % 50),
            stream: true,
          }),
          signal: gone.signal,
        });
        if (i % 10 !== 3) return streamBody(await response.text());
        // It goes away behind the first event.
        await response.body!.getReader().read();
        gone.abort();
        aborted += 1;
        return undefined;
      }),
    );
    t.is(aborted, 20);
    texts.forEach((text, i) => t.is(text ?? alone[i]!.text!, alone[i]!.text!, `stream ${i}`));
    t.deepEqual(await rest(url), before);
    const [next, { text }] = [
      await post(`${url}/v1/completions`, { model: 'lm', prompt: 'warm', seed: 1, max_tokens: 9 }),
      await sampled('lm', 'warm', 1, 9),
    ];
    t.is(bodyOf(next).choices[0]!.text, text!);
  },
);

test.serial(
  'more than may wait are sent away with a time to come again, and the others are answered right',
  async (t) => {
    const { url } = await start(t, { limits: { batch: 2, queue: 6 } });
    const { text } = await sampled('endless', 'go', 4, 300);
    const answers = await Promise.all(
      Array.from({ length: 40 }, () =>
        post(`${url}/v1/completions`, { model: 'endless', prompt: 'go', seed: 4, max_tokens: 300 }),
      ),
    );
    const done = answers.filter(({ status }) => status === 200);
    const away = answers.filter(({ status }) => status === 429);
    t.is(done.length + away.length, 40);
    t.true(done.length >= 8 && away.length > 0, `${done.length} were answered`);
    for (const answer of done) t.is(bodyOf(answer).choices[0]!.text, text!);
    for (const answer of away) {
      t.is(bodyOf(answer).error.code, 'queue_full');
      t.regex(answer.headers.get('retry-after') ?? '', /^[1-9]\d?$/);
    }
    t.deepEqual((await rest(url)).slice(1), [0, 0]);

    const large = await post(`${url}/v1/completions`, { model: 'lm', n: 3 });
    t.deepEqual([large.status, bodyOf(large).error.code], [400, 'too_large'], 'it could never begin');
  },
);

test.serial('what takes too long ends with what it has, or is told so, and those behind it go on', async (t) => {
  const { url } = await start(t, { limits: { batch: 1, requestMs: 1500, maxTokens: 1_000_000, tokens: 10_000_000 } });
  const request = { model: 'endless', prompt: 'go', seed: 4, max_tokens: 1_000_000 };
  const answers = await Promise.all([1, 2, 3].map(() => post(`${url}/v1/completions`, request)));
  const done = answers.filter(({ status }) => status === 200);
  t.true(done.length >= 1, 'one began at once');
  for (const { choices, usage } of done.map(bodyOf)) {
    t.is(choices[0]!.finish_reason, 'length');
    t.true(usage.completion_tokens > 0 && usage.completion_tokens < 1_000_000);
  }
  // A time that is over while it waits, or before the first token.
  for (const late of answers.filter(({ status }) => status !== 200)) {
    t.true(late.status === 503 || late.status === 504, late.text);
    t.is(bodyOf(late).error.code, 'deadline_exceeded');
  }
  t.deepEqual((await rest(url)).slice(1), [0, 0]);
});

/** Sends bytes by a connection of its own, and reads nothing; ends when the server closes it. */
function raw(url: string, text: string): { readonly closed: Promise<string>; end(): void } {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(text);
  const closed = new Promise<string>((resolve) => {
    let heard = '';
    socket.setEncoding('utf8').on('data', (more: string) => (heard += more));
    socket.on('error', () => {}).on('close', () => resolve(heard));
  });
  return { closed, end: () => socket.destroy() };
}

const head = (length: number): string =>
  `POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;

test.serial('half a body, and one that ends in the middle, keep nothing up', async (t) => {
  const { url } = await start(t, { limits: { bodyMs: 500 } });
  const half = raw(url, `${head(100)}{"model": "lm"`);
  const cut = raw(url, `${head(100)}{"model"`);
  cut.end();
  const garbage = raw(url, 'HELLO\r\n\r\n');
  t.regex(await half.closed, /^HTTP\/1\.1 408 /);
  t.regex(await garbage.closed, /^HTTP\/1\.1 400 /);
  const next = await post(`${url}/v1/completions`, { model: 'lm', prompt: 'next', seed: 3, max_tokens: 5 });
  t.is(bodyOf(next).choices[0]!.text, (await sampled('lm', 'next', 3, 5)).text!);
});

test.serial('readers that take nothing are ended, and cost no more memory than they may', async (t) => {
  const limits = { stallMs: 60_000, unreadTokens: 500, maxTokens: 1_000_000, tokens: 10_000_000 };
  const { url } = await start(t, { limits });
  await post(`${url}/v1/completions`, { model: 'endless', prompt: 'warm', seed: 1 });
  const before = await rest(url);
  const rss = await metric(url, 'tallow_memory_bytes{kind="process"}');
  const body = JSON.stringify({ model: 'endless', prompt: 'go', max_tokens: 1_000_000, logprobs: 5, stream: true });
  const { port, hostname } = new URL(url);
  const sockets = Array.from({ length: 4 }, () => {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.pause();
    socket.write(head(Buffer.byteLength(body)) + body);
    return socket;
  });
  t.teardown(() => sockets.forEach((socket) => socket.destroy()));
  const written = 'tallow_tokens_total{model="endless",kind="output"}';
  await until(async () => (await metric(url, written)) > 4000);
  t.deepEqual(await rest(url), before, 'the server ended them by itself');
  t.true((await metric(url, written)) < 4_000_000, 'before they were whole');
  const more = (await metric(url, 'tallow_memory_bytes{kind="process"}')) - rss;
  t.true(more < 150e6, `${more} bytes more`);
  const next = await post(`${url}/v1/completions`, { model: 'endless', prompt: 'next', seed: 3, max_tokens: 5 });
  t.is(bodyOf(next).choices[0]!.text, (await sampled('endless', 'next', 3, 5)).text!);
});

test.serial('SIGTERM finishes what is under way, refuses what comes, and ends the process', async (t) => {
  const { url, kill, ended } = await start(t, { limits: { maxTokens: 8000, tokens: 100_000 } });
  const { text } = await sampled('endless', 'go', 4, 8000);
  const running = Array.from({ length: 8 }, (_, i) =>
    post(`${url}/v1/completions`, { model: 'endless', prompt: 'go', seed: 4, max_tokens: 8000, stream: i % 2 === 0 }),
  );
  await until(async () => (await metric(url, 'tallow_requests_running{model="endless"}')) === 8);
  kill('SIGTERM');
  await until(async () => (await fetch(`${url}/ready`)).status === 503);
  const late = await post(`${url}/v1/completions`, { model: 'lm' });
  t.deepEqual([late.status, bodyOf(late).error.code, late.headers.get('retry-after')], [503, 'shutting_down', '1']);
  const answers = await Promise.all(running);
  answers.forEach((answer, i) => t.is(i % 2 === 0 ? streamBody(answer.text) : bodyOf(answer).choices[0]!.text, text!));
  t.is(await ended, 0);
});

test.serial('what does not end within the time of closing is ended', async (t) => {
  const { url, kill, ended } = await start(t, { limits: { drainMs: 300, maxTokens: 1_000_000, tokens: 10_000_000 } });
  const ask = (stream: boolean): ReturnType<typeof post> =>
    post(`${url}/v1/completions`, { model: 'endless', prompt: 'go', max_tokens: 1_000_000, stream });
  const running = [ask(true), ask(false)] as const;
  await until(async () => (await metric(url, 'tallow_requests_running{model="endless"}')) === 2);
  kill('SIGTERM');
  const [streamed, whole] = await Promise.all(running);
  t.regex(streamed.text, /data: \{"error":\{"message":"the server is closed before the output is whole"/);
  t.deepEqual([whole.status, bodyOf(whole).error.code], [503, 'shutting_down']);
  t.is(await ended, 0);
});
