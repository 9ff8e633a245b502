/** A process that is measured: one JSON object a line, as bench/anchor.mjs describes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Implementation } from './rivals.js';

/** What a case says about itself once it is prepared. */
export interface CaseInfo {
  readonly flops?: number;
  readonly tokens?: number;
  /** Elementary operations in one repetition; 1 if left out. */
  readonly inner?: number;
  readonly first_call_s?: number;
  /** What the first repetition returned, where it is a number or a list of numbers. */
  readonly value?: number | readonly number[];
}

/** One burst of repetitions. */
export interface Burst {
  /** Wall and CPU milliseconds of each repetition. */
  readonly ms: readonly (readonly [wall: number, cpu: number])[];
  /** The most memory the process has held, in MiB. */
  readonly peak: number;
}

/** How long a burst is. */
export interface BurstLength {
  readonly minSeconds: number;
  readonly minReps: number;
  readonly maxReps: number;
}

interface Message {
  readonly ready?: boolean;
  readonly ok?: boolean;
  readonly error?: string;
  readonly info?: CaseInfo;
  readonly ms?: Burst['ms'];
  readonly peak?: number;
}

/** The case does not exist for this implementation. */
export class NotAvailable extends Error {}

const ANSWER_MS = 240_000;
const END_MS = 5_000;

/** The CPUs this process may use. */
function cpus(): number[] {
  const status = '/proc/self/status';
  const list = existsSync(status) ? /Cpus_allowed_list:\s+(\S+)/.exec(readFileSync(status, 'utf8'))?.[1] : undefined;
  if (list === undefined) return Array.from({ length: availableParallelism() }, (_, i) => i);
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number) as [number, number?];
    return Array.from({ length: last! - first + 1 }, (_, i) => first + i);
  });
}

/** The command that runs on so many CPUs. Affinity is the one limit that every library obeys; not every system has it. */
function pinned(command: readonly string[], threads: number): readonly string[] {
  if (!existsSync('/usr/bin/taskset')) return command;
  return ['/usr/bin/taskset', '-c', cpus().slice(-threads).join(','), ...command];
}

/** One implementation at one case. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #messages: Message[] = [];
  #wake: () => void = () => {};
  #ended = false;

  private constructor(
    readonly implementation: Implementation,
    suite: string,
    threads: number,
  ) {
    const command = implementation.programs?.[suite] ?? implementation.command;
    const [program, ...args] = pinned(command, threads) as [string, ...string[]];
    const limit = String(threads);
    this.#child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: {
        ...process.env,
        ...implementation.env,
        OMP_NUM_THREADS: limit,
        RAYON_NUM_THREADS: limit,
        TALLOW_NUM_THREADS: limit,
      },
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    this.#child.on('error', end).on('close', end);
    this.#child.stdin!.on('error', () => {});
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      // Whatever else a library prints is not a message.
      if (!line.startsWith('{')) return;
      try {
        this.#messages.push(JSON.parse(line));
      } catch {
        return;
      }
      this.#wake();
    });
  }

  /** Starts a process and prepares a case in it. */
  static async prepare(
    implementation: Implementation,
    suite: string,
    params: object,
    threads: number,
  ): Promise<[Worker, CaseInfo]> {
    const worker = new Worker(implementation, suite, threads);
    try {
      await worker.#next((message) => message.ready === true);
      worker.#send({ op: 'prepare', suite, params, threads });
      const answer = await worker.#next((message) => message.ok !== undefined);
      if (answer.ok && answer.info !== undefined) return [worker, answer.info];
      const why = answer.error ?? 'no reason given';
      throw why.includes('NotImplemented') ? new NotAvailable(why) : new Error(why);
    } catch (error) {
      await worker.end();
      throw error;
    }
  }

  /** Repeats the case. */
  async run({ minSeconds, minReps, maxReps }: BurstLength): Promise<Burst> {
    this.#send({ op: 'run', min_s: minSeconds, min_reps: minReps, max_reps: maxReps });
    const { ms, peak, error } = await this.#next((message) => message.ms !== undefined || message.ok === false);
    if (ms === undefined) throw new Error(error ?? 'no reason given');
    return { ms, peak: peak ?? 0 };
  }

  /** Ends the process. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#child.stdin!.end();
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    await closed;
    clearTimeout(timer);
  }

  #send(message: object): void {
    this.#child.stdin!.write(`${JSON.stringify(message)}\n`);
  }

  /** The next message of a kind; others are passed over. */
  async #next(wanted: (message: Message) => boolean): Promise<Message> {
    const end = performance.now() + ANSWER_MS;
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        if (wanted(message)) return message;
        continue;
      }
      if (this.#ended) throw new Error('the process ended');
      const left = end - performance.now();
      if (left <= 0) {
        this.#child.kill('SIGKILL');
        throw new Error(`no answer in ${ANSWER_MS / 1000} s`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
