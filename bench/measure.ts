/** Measuring: all implementations of a case take turns, so that whatever else the machine does falls on each alike. */
import { spawn } from 'node:child_process';
import type { Implementation } from './rivals.js';
import { type BurstLength, type CaseInfo, NotAvailable, Worker } from './worker.js';

/** One implementation at one case. Times are milliseconds of one elementary operation. */
export interface Result {
  readonly suite: string;
  readonly case: string;
  readonly threads: number;
  readonly implementation: string;
  readonly min: number;
  readonly median: number;
  /** Least CPU time of all threads. */
  readonly cpu: number;
  readonly repetitions: number;
  /** GFLOP/s or tokens a second at the least time. */
  readonly rate?: number;
  readonly rateUnit?: 'GFLOP/s' | 'tokens/s';
  /** The most memory the process has held, in MiB. */
  readonly peak?: number;
  /** Milliseconds of the first repetition. */
  readonly firstCall?: number;
}

/** An implementation that failed at a case. */
export interface Failure {
  readonly suite: string;
  readonly case: string;
  readonly threads: number;
  readonly implementation: string;
  readonly error: string;
}

/** A case: what is measured, with which sizes. */
export interface Case {
  readonly suite: string;
  readonly name: string;
  readonly params: object;
  readonly threads: number;
}

export const median = (xs: readonly number[]): number => xs.toSorted((a, b) => a - b)[Math.floor(xs.length / 2)]!;

/** What the bursts of one implementation come to. */
export function summarize(
  c: Case,
  implementation: string,
  info: CaseInfo,
  ms: readonly (readonly [number, number])[],
  peak: number,
): Result {
  const inner = info.inner ?? 1;
  const wall = ms.map(([wall]) => wall);
  const least = Math.min(...wall);
  return {
    suite: c.suite,
    case: c.name,
    threads: c.threads,
    implementation,
    min: least / inner,
    median: median(wall) / inner,
    cpu: Math.min(...ms.map(([, cpu]) => cpu)) / inner,
    repetitions: ms.length,
    ...(info.flops === undefined ? {} : { rate: info.flops / least / 1e6, rateUnit: 'GFLOP/s' as const }),
    ...(info.tokens === undefined ? {} : { rate: (info.tokens / least) * 1e3, rateUnit: 'tokens/s' as const }),
    ...(info.first_call_s === undefined ? {} : { firstCall: info.first_call_s * 1e3 }),
    peak,
  };
}

/** Measures a case: every implementation prepares, then bursts go round A B A B. */
export async function measure(
  c: Case,
  implementations: readonly Implementation[],
  rounds: number,
  length: BurstLength,
): Promise<{ results: Result[]; failures: Failure[] }> {
  const failures: Failure[] = [];
  const fail = (implementation: Implementation, error: unknown): void => {
    if (error instanceof NotAvailable) return;
    const { suite, name, threads } = c;
    failures.push({ suite, case: name, threads, implementation: implementation.name, error: (error as Error).message });
  };
  let running: { worker: Worker; info: CaseInfo; ms: (readonly [number, number])[]; peak: number }[] = [];
  try {
    for (const implementation of implementations) {
      try {
        const [worker, info] = await Worker.prepare(implementation, c.suite, c.params, c.threads);
        running.push({ worker, info, ms: [], peak: 0 });
      } catch (error) {
        fail(implementation, error);
      }
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const one of running) {
        try {
          const burst = await one.worker.run(length);
          one.ms.push(...burst.ms);
          one.peak = Math.max(one.peak, burst.peak);
        } catch (error) {
          fail(one.worker.implementation, error);
          running = running.filter((other) => other !== one);
          await one.worker.end();
        }
      }
    }
    return {
      results: running.map(({ worker, info, ms, peak }) => summarize(c, worker.implementation.name, info, ms, peak)),
      failures,
    };
  } finally {
    await Promise.all(running.map(({ worker }) => worker.end()));
  }
}

/** Milliseconds from the start of a process to its end; null if it fails. */
function lifetime(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number | null> {
  return new Promise((done) => {
    const begin = performance.now();
    const child = spawn(command[0]!, command.slice(1), { stdio: 'ignore', env: { ...process.env, ...env } });
    child.on('error', () => done(null));
    child.on('close', (code) => done(code === 0 ? performance.now() - begin : null));
  });
}

/** From the start of a process to its first `Dense(4)`, and to the end of an empty script, in turns. */
export async function measureStartup(
  implementations: readonly Implementation[],
  rounds: number,
): Promise<{ results: Result[]; failures: Failure[] }> {
  const c: Case = { suite: 'startup', name: 'dense4', params: {}, threads: 0 };
  const empty: Implementation = { name: 'empty script', command: [], startup: [process.execPath, '-e', '0'] };
  const all = [...implementations.filter(({ startup }) => startup !== undefined), empty].map((implementation) => ({
    implementation,
    ms: [] as [number, number][],
  }));
  const failures: Failure[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const one of all) {
      if (failures.some(({ implementation }) => implementation === one.implementation.name)) continue;
      const ms = await lifetime(one.implementation.startup!, one.implementation.env);
      if (ms !== null) one.ms.push([ms, ms]);
      else
        failures.push({
          suite: c.suite,
          case: c.name,
          threads: 0,
          implementation: one.implementation.name,
          error: 'the process failed',
        });
    }
  }
  const results = all
    .filter(({ ms }) => ms.length > 0)
    .map(({ implementation, ms }) => summarize(c, implementation.name, {}, ms, 0));
  return { results, failures };
}
