/** What a careless or hostile client sends: it gets one answer in one form, and the next request is answered right. */
import { connect } from 'node:net';
import test from 'ava';
import * as tl from '../../src/index.js';
import { encoder, lm, served } from './support/models.js';
import { type AnswerBody, bodyOf, post, withServer } from './support/running.js';

let url = '';
withServer(
  test,
  () => ({ models: served() }),
  (its) => (url = its),
);

/** Sends bytes on a connection of their own; what comes back until the server closes it. */
function exchange(...bytes: readonly (string | Buffer)[]): Promise<string> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve) => {
    let heard = '';
    const socket = connect(Number(port), hostname);
    socket.setEncoding('utf8').on('data', (more: string) => (heard += more));
    socket.on('error', () => {}).on('close', () => resolve(heard));
    bytes.forEach((some) => socket.write(some));
  });
}

const JSON_TYPE = 'content-type: application/json';
/** A request whose connection is closed behind the answer. */
const request = (line: string, headers: readonly string[] = [], body = ''): string =>
  [line, 'host: a', 'connection: close', ...headers, `content-length: ${Buffer.byteLength(body)}`, '', body].join(
    '\r\n',
  );
const ask = (body: string, ...headers: string[]): string =>
  request('POST /v1/completions HTTP/1.1', [JSON_TYPE, ...headers], body);
const GOOD = JSON.stringify({ model: 'lm', prompt: 'go', seed: 1, max_tokens: 4 });
const STREAM = JSON.stringify({ model: 'lm', prompt: 'go', seed: 1, max_tokens: 4, stream: true });
/** A byte for each character, so that one of them is no UTF-8. */
const LATIN = '{"model":"lm","prompt":"\u00ff"}';
const wanted = tl.decoding.sample(lm().model, 'go', { encoder, rng: tl.random.key(1), maxTokens: 4 });

const chunked = (...chunks: readonly string[]): string =>
  [
    'POST /v1/completions HTTP/1.1',
    'host: a',
    'connection: close',
    JSON_TYPE,
    'transfer-encoding: chunked',
    '',
    ...chunks,
  ].join('\r\n');

const BYTES: readonly (readonly [what: string, bytes: string | Buffer, status: number, code: string])[] = [
  ['a method that there is not', 'FOO / HTTP/1.1\r\nhost: a\r\n\r\n', 400, 'invalid_http'],
  ['the beginning of HTTP 2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'invalid_http'],
  ['a chunk of no size', chunked('ZZ', '{}', '0', '', ''), 400, 'invalid_http'],
  ['two lengths', request('GET /health HTTP/1.1', ['content-length: 5']), 400, 'invalid_http'],
  ['a length below 0', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n', 400, 'invalid_http'],
  [
    'a length and chunks',
    'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}',
    400,
    'invalid_http',
  ],
  [
    'a length beyond the limit',
    `POST /v1/completions HTTP/1.1\r\nhost: a\r\n${JSON_TYPE}\r\ncontent-length: 99999999999\r\n\r\n`,
    413,
    'body_too_large',
  ],
  [
    'chunks beyond the limit',
    chunked(...Array.from({ length: 20 }, () => `10000\r\n${'x'.repeat(65_536)}`)),
    413,
    'body_too_large',
  ],
  [
    'a flood of headers',
    request(
      'GET /health HTTP/1.1',
      Array.from({ length: 10_000 }, (_, i) => `x-${i}: 1`),
    ),
    431,
    'headers_too_large',
  ],
  ['a long header', request('GET /health HTTP/1.1', [`x: ${'a'.repeat(20_000)}`]), 431, 'headers_too_large'],
  ['a long address', request(`GET /${'a'.repeat(10_000)} HTTP/1.1`), 404, 'not_found'],
  ['half an escape', request('GET /v1/models/% HTTP/1.1'), 400, 'invalid_url'],
  ['an escape of no character', request('GET /v1/models/%ff HTTP/1.1'), 400, 'invalid_url'],
  ['an escaped 0', request('GET /v1/models/%00 HTTP/1.1'), 404, 'model_not_found'],
  ['a folder above', request('GET /v1/models/..%2f HTTP/1.1'), 404, 'model_not_found'],
  ['a prototype', request('GET /v1/models/__proto__ HTTP/1.1'), 404, 'model_not_found'],
  ['another method', request('OPTIONS /v1/completions HTTP/1.1'), 404, 'not_found'],
  ['a packed body', ask(GOOD, 'content-encoding: gzip'), 415, 'unsupported_encoding'],
  ['a body of no type', request('POST /v1/completions HTTP/1.1', [], GOOD), 415, 'unsupported_media_type'],
  [
    'a body that is no UTF-8',
    Buffer.from(ask(LATIN).replace(/content-length: \d+/, `content-length: ${LATIN.length}`), 'latin1'),
    400,
    'invalid_json',
  ],
];

const BODIES: readonly (readonly [what: string, body: string, status: number, code: string, param: string | null])[] = [
  ['a key twice', '{"model":"lm","model":"nobody"}', 404, 'model_not_found', 'model'],
  ['a long name', JSON.stringify({ model: 'x'.repeat(100_000) }), 404, 'model_not_found', 'model'],
  [
    'a long key',
    JSON.stringify({ model: 'lm', ['x'.repeat(100_000)]: 1 }),
    400,
    'unknown_parameter',
    `${'x'.repeat(40)}…`,
  ],
  ['a name with a 0', JSON.stringify({ model: 'lm\0' }), 404, 'model_not_found', 'model'],
  ['a number beyond all', '{"model":"lm","n":1e999}', 400, 'invalid_value', 'n'],
  ['outputs beyond all', '{"model":"lm","n":1000000000}', 400, 'invalid_value', 'n'],
  ['less than no tokens', '{"model":"lm","max_tokens":-1}', 400, 'invalid_value', 'max_tokens'],
  ['a word for a flag', '{"model":"lm","stream":"yes"}', 400, 'invalid_value', 'stream'],
  ['half a character', '{"model":"lm","stop":"\\udc00"}', 400, 'invalid_value', 'stop'],
  [
    'a bias for each of many tokens',
    `{"model":"lm","logit_bias":{${Array.from({ length: 100_000 }, (_, i) => `"${i}":1`).join()}}}`
      .slice(0, 1_000_000)
      .replace(/,"\d*"?:?1?$/, '}}'),
    400,
    'invalid_value',
    'logit_bias',
  ],
  ...['prompt', 'stop', 'logit_bias', 'n'].map(
    (key) =>
      [
        `deep ${key}`,
        `{"model":"lm","${key}":${'['.repeat(200_000)}${']'.repeat(200_000)}}`,
        400,
        'invalid_value',
        key === 'stop' ? 'stop[0]' : key,
      ] as const,
  ),
];

const form = (answer: string): { readonly status: number; readonly error: AnswerBody['error'] } => {
  const at = answer.indexOf('\r\n\r\n');
  return { status: Number(answer.slice(9, 12)), error: (JSON.parse(answer.slice(at + 4)) as AnswerBody).error };
};

test('bytes and bodies that are wrong get one short answer in one form, and the next request is right', async (t) => {
  const { text } = await wanted;
  const all = [
    ...BYTES.map((row) => [...row, undefined] as const),
    ...BODIES.map(([what, body, ...rest]) => [what, ask(body), ...rest] as const),
  ];
  for (const [what, bytes, status, code, param] of all) {
    const answer = await exchange(bytes);
    const found = form(answer);
    t.deepEqual([found.status, found.error.code], [status, code], `${what}: ${answer.slice(0, 500)}`);
    if (param !== undefined) t.is(found.error.param, param, what);
    t.true(found.error.message.length < 200 && !found.error.message.includes('\n'), `${what}: ${answer.length}`);
    const next = await post(`${url}/v1/completions`, GOOD);
    t.is(bodyOf(next).choices[0]!.text, text!, what);
  }
});

const RIGHT: readonly (readonly [what: string, bytes: string])[] = [
  ['chunks', chunked(GOOD.length.toString(16), GOOD, '0', '', '')],
  ['chunks of one character', chunked(...[...GOOD].flatMap((x) => ['1', x]), '0', '', '')],
  ['HTTP 1.0', `POST /v1/completions HTTP/1.0\r\n${JSON_TYPE}\r\ncontent-length: ${GOOD.length}\r\n\r\n${GOOD}`],
  ['one that asks before it sends', ask(GOOD, 'expect: 100-continue')],
  ['a byte order mark', ask(`\ufeff${GOOD}`)],
  ['a stop string with a 0', ask(GOOD.replace('}', ',"stop":"a\\u0000b"}'))],
  [
    'a bias for each token',
    ask(GOOD.replace('}', `,"logit_bias":{${Array.from({ length: 256 }, (_, i) => `"${i}":7`).join()}}}`)),
  ],
  ['what changes nothing, deep', ask(GOOD.replace('}', `,"metadata":${'['.repeat(100_000)}${']'.repeat(100_000)}}`))],
];

test('what is unusual and right is answered right', async (t) => {
  const { text } = await wanted;
  for (const [what, bytes] of RIGHT) {
    const answer = await exchange(bytes);
    const body = answer.slice(answer.indexOf('{"id"'));
    t.is((JSON.parse(body) as AnswerBody).choices[0]!.text, text!, `${what}: ${answer.slice(0, 300)}`);
  }
});

const events = (answer: string): string =>
  [...answer.matchAll(/data: (\{.*\})/g)]
    .map(([, json]) => (JSON.parse(json!) as AnswerBody).choices[0]!.text)
    .join('');

test('a connection is closed behind a stream where that is asked for, and may be used again where not', async (t) => {
  const { text } = await wanted;
  t.is(events(await exchange(ask(STREAM))), text!);
  t.is(
    events(
      await exchange(
        `POST /v1/completions HTTP/1.0\r\n${JSON_TYPE}\r\ncontent-length: ${STREAM.length}\r\n\r\n${STREAM}`,
      ),
    ),
    text!,
  );
  // Requests that come at once are answered in their order.
  const kept = ask(STREAM).replace('connection: close', 'connection: keep-alive');
  const several = await exchange(kept.repeat(20) + ask(GOOD));
  t.is(several.split('HTTP/1.1 200 OK').length - 1, 21);
  t.is(events(several), text!.repeat(20));
  t.is((JSON.parse(several.slice(several.lastIndexOf('{"id"'))) as AnswerBody).choices[0]!.text, text!);
});

test('numbers that JSON reads and no model takes are refused by /predict', async (t) => {
  for (const [inputs, dtype, says] of [
    ['[[1e999,1]]', 'float32', /finite numbers/],
    ['[]', 'float32', /at least one example/],
    ['[[1.5,2]]', 'int32', /whole numbers for the dtype int32, got 1.5/],
    ['[[1e20,2]]', 'int32', /does not fit int32/],
  ] as const) {
    const answer = await post(`${url}/predict`, `{"model":"points","inputs":${inputs},"dtype":"${dtype}"}`);
    t.deepEqual([answer.status, bodyOf(answer).error.param], [400, 'inputs'], answer.text);
    t.regex(bodyOf(answer).error.message, says);
  }
  const empty = await post(`${url}/predict`, { model: 'texts', inputs: ['', ''] });
  t.deepEqual(
    [empty.status, bodyOf(empty).error.message],
    [400, 'the texts of `inputs` are empty; send at least one character'],
  );
  const many = { model: 'lm', messages: Array.from({ length: 2049 }, () => ({ role: 'user', content: '' })) };
  const chat = await post(`${url}/v1/chat/completions`, many);
  t.deepEqual([chat.status, bodyOf(chat).error.param], [400, 'messages'], chat.text);
});
