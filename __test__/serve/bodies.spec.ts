/** What a server answers to bodies that are wrong, and what comes after them. */
import { once } from 'node:events';
import test from 'ava';
import * as tl from '../../src/index.js';
import { createServer, ServeError } from '../../src/serve/index.js';
import { wrong } from '../support/types.js';
import { one } from '../support/values.js';
import { broken, encoder, lm, points, served, texts } from './support/models.js';
import { bodyOf, metric, post, withServer } from './support/running.js';

let url = '';
withServer(
  test,
  () => ({ models: served() }),
  (its) => (url = its),
);

const expected = (prompt: string, seed: number, maxTokens: number): Promise<tl.decoding.Sample> =>
  tl.decoding.sample(lm().model, prompt, { encoder, rng: tl.random.key(seed), maxTokens });

const COMPLETIONS: readonly (readonly [
  body: unknown,
  status: number,
  code: string,
  param: string | null,
  says: RegExp,
])[] = [
  ['{"model": "lm', 400, 'invalid_json', null, /not valid JSON/],
  ['', 400, 'invalid_json', null, /empty/],
  ['{"__proto__": {"a": 1}, "model": "lm"}', 400, 'invalid_json', null, /JSON/],
  [[1], 400, 'invalid_json', null, /object/],
  [{}, 400, 'missing_required_parameter', 'model', /`model` is required/],
  [{ model: 'nobody' }, 404, 'model_not_found', 'model', /`nobody` does not exist/],
  [{ model: 'points' }, 400, 'wrong_task', 'model', /\/predict/],
  [
    { model: 'lm', nonsense: 1 },
    400,
    'unknown_parameter',
    'nonsense',
    /Unrecognized request argument supplied: nonsense/,
  ],
  [{ model: 'lm', temperature: -1 }, 400, 'invalid_value', 'temperature', />= 0, got -1/],
  [{ model: 'lm', temperature: '1' }, 400, 'invalid_value', 'temperature', /number/],
  [{ model: 'lm', top_p: 0 }, 400, 'invalid_value', 'top_p', /> 0/],
  [{ model: 'lm', n: 0 }, 400, 'invalid_value', 'n', />= 1/],
  [{ model: 'lm', n: 17 }, 400, 'invalid_value', 'n', /17 outputs.*16/],
  [{ model: 'lm', max_tokens: 0 }, 400, 'invalid_value', 'max_tokens', />= 1/],
  [{ model: 'lm', max_tokens: 1025 }, 400, 'invalid_value', 'max_tokens', /1024 tokens at most/],
  [{ model: 'lm', seed: 1.5 }, 400, 'invalid_value', 'seed', /integer/],
  [{ model: 'lm', logprobs: 6 }, 400, 'invalid_value', 'logprobs', /<= 5/],
  [{ model: 'lm', logit_bias: { 1: 200 } }, 400, 'invalid_value', 'logit_bias[1]', /<= 100/],
  [{ model: 'lm', logit_bias: { 256: 1 } }, 400, 'invalid_value', 'logit_bias', /256.*0 to 255/],
  [{ model: 'lm', logit_bias: { a: 1 } }, 400, 'invalid_value', 'logit_bias', /"a"/],
  [{ model: 'lm', stop: ['a', 'b', 'c', 'd', 'e'] }, 400, 'invalid_value', 'stop', /4 strings at most/],
  [{ model: 'lm', stop: '' }, 400, 'invalid_value', 'stop', /from 1 to 256/],
  [{ model: 'lm', stop: [5] }, 400, 'invalid_value', 'stop[0]', /string/],
  [{ model: 'lm', echo: true }, 400, 'unsupported_parameter', 'echo', /not supported/],
  [{ model: 'lm', suffix: 'x' }, 400, 'unsupported_parameter', 'suffix', /not supported/],
  [{ model: 'lm', best_of: 2 }, 400, 'unsupported_parameter', 'best_of', /not supported/],
  [{ model: 'lm', stream_options: { include_usage: true } }, 400, 'invalid_value', 'stream_options', /for streams/],
  [{ model: 'lm', prompt: 5 }, 400, 'invalid_value', 'prompt', /got 5/],
  [{ model: 'lm', prompt: [[1], 'a'] }, 400, 'invalid_value', 'prompt', /an array/],
  [{ model: 'lm', prompt: [1, 256] }, 400, 'invalid_value', 'prompt', /id 256.*0 to 255/],
  [{ model: 'lm', prompt: [-1] }, 400, 'invalid_value', 'prompt', /at least 0/],
  ['{"model":"lm","prompt":"\\ud800"}', 400, 'invalid_value', 'prompt', /half a surrogate pair/],
  [{ model: 'lm', prompt: 'x'.repeat(128) }, 400, 'context_length_exceeded', 'prompt', /129 positions.*128/],
  [{ model: 'lm', prompt: 'x'.repeat(128), stream: true }, 400, 'context_length_exceeded', 'prompt', /129 positions/],
  [{ model: 'endless', prompt: '' }, 400, 'invalid_value', null, /prompt is empty/],
  [{ model: 'broken', prompt: 'a' }, 500, 'not_finite', null, /logit of token 0 is NaN/],
  [{ model: 'broken', prompt: 'a', stream: true }, 500, 'not_finite', null, /NaN/],
  [{ model: 'lm', prompt: 'x'.repeat(2 ** 20) }, 413, 'body_too_large', null, /larger/],
];

test('a body that is wrong gets a typed error of one sentence, and the next request is right', async (t) => {
  const { text } = await expected('next', 3, 8);
  for (const [body, status, code, param, says] of COMPLETIONS) {
    const answer = await post(`${url}/v1/completions`, body);
    const shown = JSON.stringify(body).slice(0, 80);
    const { error } = bodyOf(answer);
    t.deepEqual([answer.status, error.code, error.param], [status, code, param], `${shown}: ${answer.text}`);
    t.regex(error.message, says, shown);
    t.is(error.type, status < 500 ? 'invalid_request_error' : 'server_error');
    t.false(/\n| at .*:\d+:\d+/.test(error.message), 'one line, and nothing of the source');
    const next = await post(`${url}/v1/completions`, { model: 'lm', prompt: 'next', seed: 3, max_tokens: 8 });
    t.is(bodyOf(next).choices[0]!.text, text!, shown);
  }
});

test('what a chat cannot have is refused', async (t) => {
  const user = { role: 'user', content: 'hi' };
  for (const [fields, code, param] of [
    [{}, 'missing_required_parameter', 'messages'],
    [{ messages: [] }, 'invalid_value', 'messages'],
    [{ messages: [{ role: 'wizard', content: '' }] }, 'invalid_value', 'messages[0].role'],
    [{ messages: [{ role: 'user' }] }, 'missing_required_parameter', 'messages[0].content'],
    [{ messages: [{ role: 'user', content: 5 }] }, 'invalid_value', 'messages[0].content'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'unsupported_parameter',
      'messages[0].content[0]',
    ],
    [{ messages: [user, { role: 'system', content: 'x' }] }, 'invalid_value', 'messages'],
    [{ messages: [user], tools: [{}] }, 'unsupported_parameter', 'tools'],
    [{ messages: [user], response_format: { type: 'json_object' } }, 'unsupported_parameter', 'response_format'],
    [{ messages: [user], top_logprobs: 2 }, 'invalid_value', 'top_logprobs'],
    [{ messages: [{ role: 'user', content: 'x'.repeat(200) }] }, 'context_length_exceeded', 'messages'],
  ] as const) {
    const answer = await post(`${url}/v1/chat/completions`, { model: 'lm', ...fields });
    const { error } = bodyOf(answer);
    t.deepEqual([answer.status, error.code, error.param], [400, code, param], answer.text);
  }
  const none = await post(`${url}/v1/chat/completions`, { model: 'endless', messages: [user] });
  t.deepEqual([none.status, bodyOf(none).error.code], [400, 'no_chat_template']);
});

test('/predict answers as the model does, and refuses what the model does not take', async (t) => {
  const inputs = [
    [1, 2],
    [0.5, -1],
  ];
  const right = await post(`${url}/predict`, { model: 'points', inputs });
  t.is(right.status, 200, right.text);
  const evaluated = points().model.withMode('eval');
  t.deepEqual(bodyOf(right).outputs, one(evaluated(inputs)).array());

  const words = await post(`${url}/predict`, { model: 'texts', inputs: ['a', 'bcd'] });
  const ids = [
    [98, 0, 0],
    [99, 100, 101],
  ];
  t.deepEqual(bodyOf(words).outputs, one(texts().model.withMode('eval')(ids)).array());

  for (const [body, code] of [
    [{ inputs }, 'missing_required_parameter'],
    [{ model: 'lm', inputs }, 'wrong_task'],
    [{ model: 'points' }, 'missing_required_parameter'],
    [{ model: 'points', inputs: [[1, 2], [3]] }, 'invalid_value'],
    [{ model: 'points', inputs: [[1, 2, 3]] }, 'invalid_value'],
    [{ model: 'points', inputs: 'text' }, 'invalid_value'],
    [{ model: 'points', inputs: [[{}, 1]] }, 'invalid_value'],
    [{ model: 'texts', inputs: [[1, 257]] }, 'invalid_value'],
    [`{"model":"points","inputs":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'invalid_value'],
  ] as const) {
    const answer = await post(`${url}/predict`, body);
    t.deepEqual([answer.status, bodyOf(answer).error.code], [400, code], answer.text);
  }
});

test('models are listed, and other addresses and types of bodies are refused', async (t) => {
  const listed = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string; object: string }[] };
  t.deepEqual(
    listed.data.map(({ id, object }) => [id, object]),
    ['lm', 'endless', 'broken', 'points', 'texts'].map((id) => [id, 'model']),
  );
  t.is(((await (await fetch(`${url}/v1/models/lm`)).json()) as { id: string }).id, 'lm');
  t.is((await fetch(`${url}/v1/models/nobody`)).status, 404);
  t.is((await fetch(`${url}/v1/completions`)).status, 404, 'it must be sent by POST');
  const typed = await post(`${url}/v1/completions`, 'a=1', { headers: { 'content-type': 'text/plain' } });
  t.deepEqual([typed.status, bodyOf(typed).error.code], [415, 'unsupported_media_type']);
  t.true((await metric(url, 'tallow_requests_total{route="/v1/completions",status="415"}')) >= 1);
});

test('a key is asked for, and pages of other origins are let in only if they are named', async (t) => {
  const loading = new AbortController();
  const server = await createServer({
    models: [() => once(loading.signal, 'abort').then(lm)],
    apiKey: ['first', 'second'],
    cors: 'https://a.example',
    metrics: false,
  });
  t.teardown(() => server.close());
  const at = await server.listen({ port: 0 });
  const get = (path: string, headers: Record<string, string>): Promise<Response> => fetch(at + path, { headers });
  t.is((await get('/health', {})).status, 503, 'it loads');
  const early = await get('/v1/models', { authorization: 'Bearer first' });
  t.deepEqual([early.status, early.headers.get('retry-after')], [503, '2']);
  loading.abort();
  await server.ready();
  t.deepEqual([(await get('/health', {})).status, (await get('/ready', {})).status], [200, 200]);
  for (const authorization of ['', 'Bearer', 'Bearer third', 'Basic first', 'Bearer firs', 'Bearer first second'])
    t.is((await get('/v1/models', { authorization })).status, 401, authorization);
  for (const key of ['first', 'second'])
    t.is((await get('/v1/models', { authorization: `Bearer ${key}` })).status, 200);
  t.is((await get('/metrics', { authorization: 'Bearer first' })).status, 404);

  const asked = { origin: 'https://a.example', 'access-control-request-method': 'POST' };
  const preflight = await fetch(`${at}/v1/completions`, { method: 'OPTIONS', headers: asked });
  t.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [204, 'https://a.example']);
  const closed = await fetch(`${url}/v1/models`, { headers: asked });
  t.is(closed.headers.get('access-control-allow-origin'), null);
});

test('a server that cannot be is refused when it is made, or when its models are loaded', async (t) => {
  const model = lm();
  for (const [options, says] of [
    [{ models: [] }, /at least one model/],
    [{ models: [model], colour: 1 }, /unknown option `colour`/],
    [{ models: [model], limits: { batch: 0 } }, /`limits.batch` must be a whole number from 1/],
    [{ models: [model], limits: { speed: 1 } }, /unknown option `speed`/],
    [{ models: [model], apiKey: '' }, /`apiKey`/],
  ] as const) {
    const error = await t.throwsAsync(createServer(wrong(options)), { instanceOf: ServeError });
    t.is(error.code, 'InvalidOption');
    t.regex(error.message, says);
  }
  for (const [models, says] of [
    [[model, model], /two models have the name lm/],
    [[{ ...model, encoder: null }], /needs an `encoder`/],
    [[{ ...model, chatTemplate: '{% if %}' }], /chat template cannot be read/],
    [[{ ...model, generation: { temperature: -1 } }], /`temperature`/],
    [[() => Promise.reject(new Error('no such file'))], /no such file/],
  ] as const) {
    const server = await createServer(wrong({ models, metrics: false }));
    const at = await server.listen({ port: 0 });
    await t.throwsAsync(server.ready(), { message: says });
    t.is((await fetch(`${at}/health`)).status, 503);
    const asked = await post(`${at}/v1/completions`, { model: 'lm' });
    t.deepEqual([asked.status, bodyOf(asked).error.code], [503, 'not_loaded']);
    const other = await createServer({ models: [broken()], metrics: false });
    const port = Number(new URL(at).port);
    const taken = await t.throwsAsync(other.listen({ port }), { instanceOf: ServeError });
    t.is(taken.code, 'PortInUse');
    t.regex(taken.message, new RegExp(`port ${port} of 127.0.0.1 is in use`));
    await Promise.all([server.close(), other.close()]);
  }
});
