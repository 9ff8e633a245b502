/** A dataset that goes on from a state gives what it would have given, had it never stopped. */
import test from 'ava';
import * as tl from 'tallow';

/** Numbers drawn by a seed, each call another one. */
function drawer(seed: number): (below: number) => number {
  let i = 0;
  return (below) => {
    const drawn = tl.random.randint(tl.random.foldIn(tl.random.key(seed), i++), [], 0, below);
    return drawn.item();
  };
}

type Numbers = tl.data.Dataset<number>;

/** A pipeline of random steps, the same for the same seed. */
function pipeline(seed: number): tl.data.Dataset<unknown> {
  const draw = drawer(seed);
  const items = Array.from({ length: 20 + draw(60) }, (_, i) => i);
  const sources: (() => Numbers)[] = [
    () => tl.data.fromArray(items),
    () => tl.data.fromIterable(() => items),
    () =>
      tl.data.fromIterable(async function* () {
        for (const x of items) yield await Promise.resolve(x);
      }),
  ];
  const steps: ((d: Numbers) => Numbers)[] = [
    (d) => d.map((x, i) => (7 * x + i) % 997),
    (d) => d.filter((x) => x % 3 !== 1),
    (d) => d.filter((_, i) => i % 2 === 0),
    (d) => d.take(5 + draw(40)),
    (d) => d.skip(draw(10)),
    (d) => d.repeat(1 + draw(3)),
    (d) => d.shuffle({ rng: tl.random.key(draw(100)), bufferSize: 1 + draw(30) }),
    (d) => d.prefetch(1 + draw(5)),
    (d) => d.flatMap((x, i) => Array.from({ length: (x + i) % 4 }, (_, j) => x + j)),
    (d) =>
      d.flatMap(async function* (x) {
        for (let j = x % 3; j > 0; j -= 1) yield await Promise.resolve(x + j);
      }),
    (d) => d.window(1 + draw(6), 1 + draw(8)).map((xs) => xs.reduce((a, b) => (3 * a + b) % 997)),
  ];
  const ends: ((d: Numbers) => tl.data.Dataset<unknown>)[] = [
    (d) => d,
    (d) => d.batch(1 + draw(7), { dropRemainder: draw(2) === 0 }).map((x) => x.array()),
    (d) =>
      d
        .map((x) => Array.from({ length: x % 11 }, () => x))
        .bucketByLength({
          boundaries: [3, 7],
          batchSizes: [3, 2, 4],
          length: (x) => x.length,
          dropRemainder: draw(2) === 0,
        })
        .map((x) => x.array()),
    (d) =>
      d
        .map((x) => Array.from({ length: x % 13 }, (_, i) => x + i))
        .pack({ length: 9, buffer: 1 + draw(4), split: true })
        .map(({ tokens, segments, positions }) => [[...tokens], [...segments], [...positions]]),
  ];
  let dataset = sources[draw(sources.length)]!();
  for (let n = draw(5); n > 0; n -= 1) dataset = steps[draw(steps.length)]!(dataset);
  const end = ends[draw(ends.length)]!(dataset);
  return draw(3) === 0 ? end.prefetch(1 + draw(3)) : end;
}

/** The states after so many elements, before and after the loop ends, as a file would hold them. */
async function statesAfter(dataset: tl.data.Dataset<unknown>, count: number): Promise<tl.data.DatasetState[]> {
  const elements = dataset[Symbol.asyncIterator]();
  for (let i = 0; i < count; i += 1) await elements.next();
  const before = JSON.stringify(dataset.state());
  await elements.return?.();
  return [before, JSON.stringify(dataset.state())].map((text) => JSON.parse(text) as tl.data.DatasetState);
}

test('random pipelines go on from any element as if they had never stopped', async (t) => {
  for (let seed = 0; seed < 150; seed += 1) {
    const whole = await pipeline(seed).toArray();
    t.deepEqual(await pipeline(seed).toArray(), whole, `seed ${seed}: another pass`);
    const draw = drawer(7000 + seed);
    for (const cut of [0, 1, draw(whole.length + 1), draw(whole.length + 1), whole.length]) {
      if (cut > whole.length) continue;
      for (const state of await statesAfter(pipeline(seed), cut)) {
        const rest = await pipeline(seed).restore(state).toArray();
        t.deepEqual(rest, whole.slice(cut), `seed ${seed}, cut at ${cut}`);
        // And once more, from a run that was resumed itself.
        const more = Math.min(3, whole.length - cut);
        const [later] = await statesAfter(pipeline(seed).restore(state), more);
        const last = await pipeline(seed).restore(later!).toArray();
        t.deepEqual(last, whole.slice(cut + more), `seed ${seed}, twice`);
      }
    }
  }
});
