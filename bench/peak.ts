/** What the processor can do at most: multiply-adds that stay in registers, measured by the Rust example `gemm_bench`. */
import { execFile } from 'node:child_process';
import { rustExample } from './rivals.js';

/** GFLOP/s by number of threads; empty where it cannot be measured. */
export function measurePeak(threads: readonly number[]): Promise<Map<number, number>> {
  const [cargo, ...args] = [...rustExample('tallow-tensor', 'gemm_bench'), '--peak', ...threads.map(String)];
  return new Promise((done) => {
    execFile(cargo!, args, (error, output) => {
      // No output: a processor whose peak nobody knows how to reach.
      if (error !== null || output.trim() === '') return done(new Map());
      done(
        new Map(
          output
            .trim()
            .split('\n')
            .map((line) => line.split(' ').map(Number) as [number, number]),
        ),
      );
    });
  });
}
