/** Encoders give the ids that Python's `tokenizers` gives, and their text back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from 'tallow';
import { wrong } from '../support/types.js';
import expected from './fixtures/tokenizers.json';

const folder = mkdtempSync(join(tmpdir(), 'tallow-encoders-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
const fixture = (name: string): string => join(__dirname, 'fixtures', name);

/** What comes of ids that are decoded one by one. */
function streamed(encoder: tl.data.Encoder, ids: Iterable<number>): string {
  const decoder = encoder.decoder();
  return [...ids].map((id) => decoder.push(id)).join('') + decoder.end();
}

test('byte pairs that are learnt are those of Python, and so are the ids', async (t) => {
  const options = { vocabSize: 330, specialTokens: ['<end>'] };
  const encoder = await tl.data.trainBytePair(expected.texts, options);
  t.is(encoder.vocabSize, expected.trained.vocab);
  t.deepEqual(
    expected.trained.last.map((_, i) => encoder.tokenOf(257 + i)),
    expected.trained.last,
  );
  t.deepEqual(
    expected.samples.map((text) => [...encoder.encode(text)]),
    expected.trained.ids,
  );
  t.is(encoder.idOf('<end>'), 0);
  t.is(encoder.idOf('no such token'), undefined);
  for (const text of expected.samples) {
    const ids = encoder.encode(text);
    t.is(encoder.decode(ids, { skipSpecialTokens: false }), text);
    t.is(encoder.decode(tl.tensor(ids)), text.replace('<end>', ''));
    t.is(streamed(encoder, ids), encoder.decode(ids));
  }
});

test('a tokenizer.json is read and written, with the tokens that it puts around', async (t) => {
  const { samples, ids, bare, text, whole } = expected.wordpiece;
  const path = join(folder, 'tokenizer.json');
  tl.data.loadEncoder(fixture('wordpiece.json')).save(path);
  const encoder = tl.data.loadEncoder(path);
  t.is(encoder.vocabSize, 10);
  const batch = await encoder.encodeBatch(samples);
  t.deepEqual(
    batch.map((x) => [...x]),
    ids,
  );
  samples.forEach((sample, i) => {
    t.deepEqual([...encoder.encode(sample, { addSpecialTokens: false })], bare[i]);
    t.is(encoder.decode(ids[i]!), text[i]!);
    t.is(encoder.decode(ids[i]!, { skipSpecialTokens: false }), whole[i]!);
  });
});

test('a tokenizer that falls back to bytes gives whole characters, also one by one', (t) => {
  const { samples, ids, text } = expected.fallback;
  const encoder = tl.data.loadEncoder(fixture('fallback.json'));
  samples.forEach((sample, i) => {
    t.deepEqual([...encoder.encode(sample)], ids[i]);
    t.is(encoder.decode(ids[i]!), text[i]!);
  });
  const decoder = encoder.decoder();
  const parts = [...encoder.encode('call 🐳')].map((id) => decoder.push(id));
  t.deepEqual(parts, ['call', ' ', '', '', '', '🐳']);
});

test('bytes are ids behind the reserved ones, and wait until a character is whole', (t) => {
  const encoder = tl.data.byteEncoder({ reserved: 2 });
  t.is(encoder.vocabSize, 258);
  t.deepEqual([...encoder.encode('aé')], [99, 197, 171]);
  t.is(encoder.decode([0, 99, 1, 197, 171]), 'aé');
  t.is(encoder.idOf('a'), 99);
  t.is(encoder.tokenOf(99), 'a');
  t.is(encoder.tokenOf(0), undefined);
  const decoder = encoder.decoder();
  t.deepEqual(
    [99, 197, 171, 197, 99, 242, 161].map((id) => decoder.push(id)),
    ['a', '', 'é', '', '\uFFFDa', '', ''],
  );
  t.is(decoder.end(), '\uFFFD');
  t.is(decoder.end(), '');
});

test('characters are numbered by their code points, and saved', (t) => {
  const encoder = tl.data.characterEncoder('the 🐳 whale', { reserved: 1 });
  t.is(encoder.vocabSize, 1 + 8);
  t.deepEqual([...encoder.encode(' 🐳')], [1, 8]);
  const path = join(folder, 'characters.json');
  encoder.save(path);
  const again = tl.data.loadEncoder(path);
  const ids = encoder.encode('the whale');
  t.deepEqual(again.encode('the whale'), ids);
  t.is(again.decode(ids), 'the whale');
  t.is(streamed(again, ids), 'the whale');
  t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {
    encoder: 'characters',
    reserved: 1,
    alphabet: ' aehltw🐳',
  });
});

test('what cannot be encoded, decoded, read or learnt is refused', async (t) => {
  const characters = tl.data.characterEncoder('abc');
  t.throws(() => characters.encode('abd'), {
    instanceOf: tl.LayerError,
    code: 'InvalidArgument',
    message: /'d' at byte 2/,
  });
  await t.throwsAsync(characters.encodeBatch(['a', 'x']), { code: 'InvalidArgument', message: /'x'/ });
  for (const id of [3, -1, 0.5, NaN]) {
    t.throws(() => characters.decode([0, id]), { code: 'IndexOutOfRange', message: /from 0 to 2/ });
    t.throws(() => characters.decoder().push(id), { code: 'IndexOutOfRange' });
  }
  t.throws(() => characters.encode('\uD800'), { instanceOf: TypeError, message: /half a surrogate pair/ });
  t.throws(() => characters.encode(wrong(5)), {
    instanceOf: TypeError,
    message: /encode: string must be a string, got 5/,
  });
  t.throws(() => characters.decode(wrong('ab')), { instanceOf: TypeError, message: /got the string "ab"/ });
  t.throws(() => characters.encode('a', wrong({ special: true })), {
    code: 'InvalidOption',
    message: /addSpecialTokens/,
  });
  t.throws(() => tl.data.byteEncoder({ reserved: -1 }), { code: 'InvalidOption', message: /at least 0, got -1/ });
  t.throws(() => tl.data.byteEncoder({ reserved: 1e9 }), { code: 'InvalidOption', message: /at most 1048576/ });
  t.throws(() => tl.data.loadEncoder(join(folder, 'absent.json')), { code: 'Io', message: /absent\.json/ });
  const broken: readonly [string, RegExp][] = [
    ['{', /not an encoder: EOF/],
    ['{}', /tokenizer/],
    ['{"encoder":"words"}', /its kind is "words"/],
    ['{"encoder":"characters","reserved":0,"alphabet":"aa"}', /twice/],
    ['{"encoder":"bytes","reserved":-3}', /not an encoder/],
  ];
  for (const [json, message] of broken) {
    const path = join(folder, 'broken.json');
    writeFileSync(path, json);
    t.throws(() => tl.data.loadEncoder(path), { instanceOf: tl.LayerError, message });
  }
  await t.throwsAsync(tl.data.trainBytePair(['a'], { vocabSize: 256, specialTokens: ['<s>'] }), {
    code: 'InvalidOption',
    message: /at least 257/,
  });
  await t.throwsAsync(tl.data.trainBytePair(['a'], wrong({})), {
    code: 'InvalidOption',
    message: /`vocabSize` is required/,
  });
  await t.throwsAsync(tl.data.trainBytePair(wrong([5]), { vocabSize: 300 }), {
    message: /text number 0 must be a string/,
  });
});
