/** Datasets of files: what they give, where they go on, and that they let go of what they open. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from 'tallow';
import { instanceOf, wrong } from '../support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-data-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

/** A file of this content. */
function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function failure(t: ExecutionContext, dataset: tl.data.Dataset<unknown>): Promise<tl.data.DataError> {
  return instanceOf(tl.data.DataError, await t.throwsAsync(dataset.toArray(), { instanceOf: tl.data.DataError }));
}

/** Goes on from every element, with a new dataset each time. */
async function goesOn(t: ExecutionContext, make: () => tl.data.Dataset<unknown>): Promise<unknown[]> {
  const whole = await make().toArray();
  for (let cut = 0; cut <= whole.length; cut += 1) {
    const dataset = make();
    const elements = dataset[Symbol.asyncIterator]();
    for (let i = 0; i < cut; i += 1) await elements.next();
    const state: unknown = JSON.parse(JSON.stringify(dataset.state()));
    await elements.return?.();
    const rest = await make()
      .restore(state as tl.data.DatasetState)
      .toArray();
    t.deepEqual(rest, whole.slice(cut), `cut at ${cut}`);
  }
  return whole;
}

test('the lines of a text file go on from a byte', async (t) => {
  const path = file('lines.txt', '\uFEFFfirst\r\nséc🐳nd\n\nlast');
  t.deepEqual(await goesOn(t, () => tl.data.textFile(path)), ['first', 'séc🐳nd', '', 'last']);
  t.deepEqual(await tl.data.textFile(file('empty.txt', '')).toArray(), []);
  t.deepEqual(await tl.data.textFile(file('one.txt', '\n')).toArray(), ['']);
  const dataset = tl.data.textFile(path);
  for await (const line of dataset) if (line.startsWith('s')) break;
  t.deepEqual(dataset.state(), { step: 'Dataset', skip: 0, from: { step: 'textFile', offset: 21, line: 2 } });
});

test('lines that chunks of the file cut are whole', async (t) => {
  const lines = Array.from({ length: 3000 }, (_, i) => '🐳é'.repeat(i % 97) + i);
  lines.push('x'.repeat(200_000), 'end');
  const path = file('long.txt', lines.join('\n') + '\n');
  t.deepEqual(await tl.data.textFile(path).toArray(), lines);
  const dataset = tl.data.textFile(path).skip(1500).take(1);
  await dataset.toArray();
  const part = tl.data.textFile(path);
  let count = 0;
  for await (const _ of part) if (++count === 1777) break;
  t.deepEqual(await tl.data.textFile(path).restore(part.state()).toArray(), lines.slice(1777));
});

test('bytes that are no UTF-8 are refused, or are Latin-1 where that is said', async (t) => {
  const path = file('latin1.txt', Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x0a, 0x78));
  const error = await failure(t, tl.data.textFile(path));
  t.is(error.code, 'Io');
  t.regex(error.message, /is not UTF-8 behind line 1: give encoding: 'latin1'/);
  t.deepEqual(await goesOn(t, () => tl.data.textFile(path, { encoding: 'latin1' })), ['café', 'x']);
  t.throws(() => tl.data.textFile(path, { encoding: wrong('utf16') }), {
    code: 'InvalidOption',
    message: /'utf8' or 'latin1'/,
  });
  t.throws(() => tl.data.textFile(wrong(3)), {
    instanceOf: TypeError,
    message: /textFile: path must be a string, got 3/,
  });
});

test('a file that is missing, no regular file, or shorter than the state says is refused', async (t) => {
  t.is((await failure(t, tl.data.textFile(join(folder, 'absent')))).code, 'Io');
  t.regex((await failure(t, tl.data.textFile(folder))).message, /not a regular file/);
  t.regex((await failure(t, tl.data.csv(join(folder, 'absent')))).message, /csv .*absent.*ENOENT/);
  t.regex((await failure(t, tl.data.parquet(join(folder, 'absent')))).message, /parquet .*absent.*ENOENT/);
  t.regex(
    (await failure(t, tl.data.parquet(file('no.parquet', 'no parquet at all')))).message,
    /no.parquet, element 0: parquet/,
  );
  const path = file('shrinks.txt', 'one\ntwo\nthree\n');
  const dataset = tl.data.textFile(path);
  for await (const line of dataset) if (line === 'two') break;
  writeFileSync(path, 'one');
  t.regex((await failure(t, dataset.restore(dataset.state()))).message, /has 3 bytes, but the state is of byte 8/);
});

test('JSONL gives a value a line, and the number of a line that is none', async (t) => {
  const path = file('values.jsonl', '{"x": [1, 2]}\n\n"text"\nnull\n5');
  t.deepEqual(await goesOn(t, () => tl.data.jsonl(path)), [{ x: [1, 2] }, 'text', null, 5]);
  const error = await failure(t, tl.data.jsonl(file('broken.jsonl', '1\n{"x": \n')));
  t.regex(error.message, /jsonl .*broken\.jsonl, line 2: .*JSON/);
});

test('CSV gives records by its header, or lists', async (t) => {
  const path = file('table.csv', 'x,label\n1.5,a\n2.5,"b, ""c""\nd"\n');
  t.deepEqual(await goesOn(t, () => tl.data.csv(path)), [
    { x: '1.5', label: 'a' },
    { x: '2.5', label: 'b, "c"\nd' },
  ]);
  const lists = tl.data.csv(file('table.tsv', '1\t2\n3\t4\n'), { header: false, delimiter: '\t' });
  t.deepEqual(await lists.toArray(), [
    ['1', '2'],
    ['3', '4'],
  ]);
  const error = await failure(t, tl.data.csv(file('ragged.csv', 'a,b\n1,2\n3\n')));
  t.is(error.code, 'Io');
  t.regex(error.message, /ragged\.csv: Invalid Record Length: .* on line 3/);
});

test('Parquet gives records, from any row on', async (t) => {
  const path = join(__dirname, 'fixtures', 'whales.parquet');
  t.deepEqual(await goesOn(t, () => tl.data.parquet(path, { columns: ['name', 'tons'] })), [
    { name: 'blue', tons: 150.5 },
    { name: 'sperm', tons: 45 },
    { name: 'minke', tons: 8.25 },
    { name: 'orca', tons: 6 },
    { name: 'pilot', tons: 2.5 },
  ]);
  const [first] = await tl.data.parquet(path).take(1).toArray();
  t.deepEqual(Object.keys(first!), ['name', 'tons', 'count']);
  t.is(Number(first!['count']), 10_000);
});

const openFiles = (): number => readdirSync('/proc/self/fd').length;

test.serial('no file stays open, however a loop ends', async (t) => {
  if (!existsSync('/proc/self/fd')) {
    t.pass('the system does not list open files');
    return;
  }
  const path = file('many.txt', '12\n'.repeat(50_000));
  const table = file('many.csv', 'a,b\n' + '1,2\n'.repeat(50_000));
  const sources = [() => tl.data.textFile(path), () => tl.data.csv(table), () => tl.data.jsonl(path)];
  const before = openFiles();
  for (let i = 0; i < 20; i += 1) {
    for (const source of sources) {
      const dataset = source().batch(7).prefetch(2);
      const unread = dataset[Symbol.asyncIterator]();
      await unread.return?.();
      for await (const _ of source()
        .shuffle({ rng: tl.random.key(0), bufferSize: 50 })
        .prefetch(4)) {
        break;
      }
      await source().take(3).repeat(2).toArray();
      await source()
        .map(() => {
          throw new Error('stop');
        })
        .toArray()
        .catch(() => undefined);
      await source()
        .restore({ step: 'Dataset', skip: 0, from: { step: 'other' } })
        .toArray()
        .catch(() => undefined);
    }
  }
  t.true(openFiles() <= before + 1, `${openFiles() - before} files are open`);
});
