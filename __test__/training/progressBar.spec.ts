import { PassThrough } from 'node:stream';
import test from 'ava';
import * as tl from '../../src/index.js';

/** A stream, and what was written to it. */
function stream(isTTY: boolean): { out: PassThrough & { isTTY: boolean }; text: () => string } {
  const out = Object.assign(new PassThrough(), { isTTY, columns: 120 });
  let text = '';
  out.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { out, text: () => text };
}

test('outside of a terminal a line comes at every tenth', (t) => {
  const { out, text } = stream(false);
  const bar = new tl.training.ProgressBar(40, { stream: out });
  for (let step = 1; step <= 40; step += 1) bar.update(step, `loss ${step}`);
  bar.stop();
  const lines = text().trimEnd().split('\n');
  t.is(lines.length, 10);
  t.regex(lines[0]!, /^step 4\/40 · loss 4 · \d+:\d\d left$/);
  t.is(lines[9], 'step 40/40 · loss 40 · 0:00 left');
});

test('what stands beside is asked for only where something is shown', (t) => {
  const { out, text } = stream(false);
  using bar = new tl.training.ProgressBar(20, { stream: out });
  const asked: number[] = [];
  for (let step = 1; step <= 20; step += 1) {
    bar.update(step, () => {
      asked.push(step);
      return `loss ${step}`;
    });
  }
  t.deepEqual(asked, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
  t.regex(text(), /^step 2\/20 · loss 2 · /);
});

test('several tenths at once are one line, and what stands beside may be left out', (t) => {
  const { out, text } = stream(false);
  using bar = new tl.training.ProgressBar(3, { stream: out });
  bar.update(2);
  bar.update(2);
  t.regex(text(), /^step 2\/3 · \d+:\d\d left\n$/);
});

test('in a terminal it is a bar', (t) => {
  const { out, text } = stream(true);
  {
    using bar = new tl.training.ProgressBar(2, { stream: out });
    bar.update(1, 'loss 0.25');
    bar.update(2, 'loss 0.125');
  }
  t.regex(text(), /━/);
  t.regex(text(), /step 2\/2 · loss 0\.125 · 0:00 left/);
});

test('what is no number of steps is refused', (t) => {
  for (const wrong of [0, -1, 0.5, NaN, Infinity]) {
    t.throws(() => new tl.training.ProgressBar(wrong), {
      instanceOf: RangeError,
      message: `ProgressBar: total must be a whole number of at least 1, got ${wrong}`,
    });
  }
  // @ts-expect-error an unknown option
  t.throws(() => new tl.training.ProgressBar(1, { to: process.stdout }), { message: /unknown option `to`/ });
});
