/** Checkpoints that are not as they were written, and processes that are killed while they write one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import test from 'ava';
import * as tl from '../../src/index.js';
import { instanceOf } from '../support/types.js';
import { f32, values } from '../support/values.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-damage-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const onUnix = process.platform === 'win32' ? test.skip : test;
const dist = join(__dirname, '..', '..', 'dist', 'index.js');

/** The round of `npm run soak`, which draws other numbers in each. */
const ROUND = Number(process.env['TALLOW_SOAK_ROUND'] ?? 0);

/** Whole numbers below others that look drawn, and are the same in every run of a round. */
function drawn(seed: number): (below: number) => number {
  let state = seed + 1000 * ROUND;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function trainer(): tl.Trainer {
  const layer = tl.Serial(
    tl.Dense(3),
    tl.BatchNorm({ axis: [0] }),
    tl.Dropout({ rate: 0.2 }),
    tl.Fn('loss', (x: tl.Tensor) => x.square().mean()),
  );
  layer.init(f32([4, 2]), { rng: [6, 1] });
  return new tl.Trainer(layer, tl.optimizers.Adam());
}

test('of 1,000 flipped bits and 1,000 cuts each is found, by loading and by verifying, and what was held stays', async (t) => {
  const [path, copy] = [join(folder, 'run'), join(folder, 'copy')];
  const saved = trainer();
  saved.oneStep([tl.random.normal([0, 1], [4, 2])], [0, 1]);
  await saved.save(path, 1, { data: { offset: 17 }, seed: 3 });
  const whole = readFileSync(path);
  const header = 8 + Number(whole.readBigUInt64LE());
  const loading = trainer();
  t.is(await loading.load(path), 1);
  const held = (): unknown =>
    values([loading.modelWithLoss.weights, loading.modelWithLoss.state, loading.slots] as tl.Tree<tl.Tensor>);
  const before = held();
  const below = drawn(13);
  let found = 0;
  const refused = async (bytes: Uint8Array, what: string): Promise<void> => {
    writeFileSync(copy, bytes);
    for (const read of [() => loading.load(copy), () => tl.training.verifyCheckpoint(copy)]) {
      const error = await read().then(
        () => undefined,
        (e: unknown) => instanceOf(tl.LayerError, e),
      );
      if (error?.code === 'Io' && error.message.includes(copy)) found += 1;
      else t.fail(`${what}: ${error?.message}`);
    }
  };
  for (let i = 0; i < 1000; i++) {
    // Every other one in the header.
    const [at, bit] = [below(i % 2 === 0 ? header : whole.length), below(8)];
    await refused(
      whole.map((b, j) => (j === at ? b ^ (1 << bit) : b)),
      `bit ${bit} of byte ${at}`,
    );
    const end = below(whole.length);
    await refused(whole.subarray(0, end), `cut off at ${end}`);
  }
  t.is(found, 4000);
  t.deepEqual(held(), before);
});

onUnix(
  'at each of 50 moments a process that is killed while it saves leaves the old file or the new one, whole',
  async (t) => {
    const size = 1 << 19;
    const below = drawn(50);
    const seen = new Set<number>();
    let interrupted = 0;
    const killed = async (own: string): Promise<void> => {
      const path = join(own, 'run.safetensors');
      const script = `const tl = require(${JSON.stringify(dist)}); const both = [1, 2].map((n) => ({ a: tl.full([${size}], n), b: tl.full([${size}], n) }));
      console.log('go'); for (let i = 0; ; i++) tl.saveSafetensors(both[i % 2], ${JSON.stringify(path)})`;
      const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      await wait(below(25));
      child.kill('SIGKILL');
      await once(child, 'exit');
      const { a, b } = tl.loadSafetensors(path);
      const number = a!.index(0).item();
      seen.add(number);
      t.deepEqual([a!.size, b!.size], [size, size]);
      t.true(
        [a!, b!].every((x) => x.eq(number).all().item() === 1),
        `all is ${number}`,
      );
      const left = readdirSync(own).length - 1;
      t.true(left <= 1, 'what a process left, the next one removed');
      interrupted += left;
    };
    const folders = Array.from({ length: 5 }, (_, i) => join(folder, `killed-${i}`));
    await Promise.all(
      folders.map(async (own) => {
        mkdirSync(own);
        tl.saveSafetensors({ a: tl.zeros([size]), b: tl.zeros([size]) }, join(own, 'run.safetensors'));
        for (let round = 0; round < 10; round++) await killed(own);
      }),
    );
    t.true(seen.has(1) && seen.has(2), `files of ${[...seen].join(', ')} were found`);
    t.true(interrupted >= 5, `${interrupted} of 50 were killed while they wrote`);
    for (const own of folders) {
      tl.saveSafetensors({ a: [1] }, join(own, 'run.safetensors'));
      t.deepEqual(readdirSync(own), ['run.safetensors']);
    }
  },
);
