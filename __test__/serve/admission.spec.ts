/** Who may begin, who waits, and who is sent away. */
import test from 'ava';
import { Admission } from '../../src/serve/admission.js';
import { Refusal } from '../../src/serve/errors.js';

const cost = (places: number, tokens = 0, bytes = 0): { places: number; tokens: number; bytes: number } => ({
  places,
  tokens,
  bytes,
});
const { signal } = new AbortController();

test('requests begin in their order as there is room, and a large one is not passed', async (t) => {
  const admission = new Admission({ places: 4, tokens: 100, bytes: 1000, queue: 8 });
  const order: string[] = [];
  const enter = async (name: string, ...of: Parameters<typeof cost>): Promise<() => void> => {
    const leave = await admission.enter(cost(...of), signal);
    order.push(name);
    return leave;
  };
  const first = await enter('first', 1, 90);
  const large = enter('large', 1, 60);
  const small = enter('small', 1, 5);
  await Promise.resolve();
  t.deepEqual([order, admission.running, admission.waiting], [['first'], 1, 2]);
  first();
  first();
  t.deepEqual([(await large)(), (await small)(), order], [undefined, undefined, ['first', 'large', 'small']]);
  t.deepEqual([admission.running, admission.waiting], [0, 0], 'to leave twice is to leave once');
});

test('what does not fit into the queue, or never fits, is refused; who goes away makes room', async (t) => {
  const admission = new Admission({ places: 1, tokens: 100, bytes: 1000, queue: 1 });
  const leave = await admission.enter(cost(1), signal);
  const gone = new AbortController();
  const waiting = admission.enter(cost(1), gone.signal);
  t.true(admission.isFull);
  const full = await t.throwsAsync(admission.enter(cost(1), signal), { instanceOf: Refusal });
  t.deepEqual([full.status, full.code], [429, 'queue_full']);
  t.true(full.retryAfter! >= 1 && full.retryAfter! <= 60);
  for (const [never, param] of [
    [cost(2), 'n'],
    [cost(1, 101), 'max_tokens'],
    [cost(1, 1, 1001), 'max_tokens'],
  ] as const) {
    const refused = await t.throwsAsync(admission.enter(never, signal), { instanceOf: Refusal });
    t.deepEqual([refused.status, refused.param], [400, param]);
  }
  const reason = new Error('gone');
  gone.abort(reason);
  t.is(await t.throwsAsync(waiting), reason);
  t.deepEqual([admission.waiting, admission.isFull], [0, false]);
  const next = admission.enter(cost(1), signal);
  leave();
  (await next)();
  t.is(await t.throwsAsync(admission.enter(cost(1), gone.signal)), reason, 'it had gone before');
});
