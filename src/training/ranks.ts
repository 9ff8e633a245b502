/**
 * This process among others that train with it.
 *
 * @module
 */
import { native } from '../bridge/native.js';

/** A process among those that a launcher started together. */
export interface Rank {
  /** Its number, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
}

/** A thread among those of this process that train together; it can be sent to a worker. */
export interface LocalRank extends Rank {
  /** The number that the process knows it by. */
  readonly id: number;
}

let joined = false;

/** Has the other ranks told when this process ends, and why where it fails. */
function leaveAtExit(): void {
  if (joined) return;
  joined = true;
  let thrown: string | undefined;
  process.once('uncaughtExceptionMonitor', (error) => (thrown = String(error)));
  process.once('exit', (code) =>
    native.leaveRanks(code === 0 ? null : (thrown ?? `its process exits with code ${code}`)),
  );
}

/**
 * Tells which rank this process is among those that `mpirun`, `srun` or the like started.
 *
 * The first call waits until all have made it. From then on each rank watches another one: where one is killed, stalls, throws or ends before the others,
 * they are told so, with its number. As the program ends, it waits for the others. A process that was started alone is the only rank.
 *
 * @returns The number of the rank, and how many there are.
 * @throws {@link LayerError} `InvalidOption`: the launcher started several ranks, but this build has no MPI, or Slurm was not told to start them for it.
 * @throws {@link LayerError} `RankFailed`: the others do not start in time (`TALLOW_RANK_TIMEOUT`, 600 seconds without it).
 * @example
 * ```ts
 * tl.training.rank(); // → { rank: 0, size: 1 }
 * ```
 */
export function rank(): Rank {
  const found = native.joinRanks();
  if (found === null) return { rank: 0, size: 1 };
  leaveAtExit();
  return found;
}

/**
 * Makes ranks for the workers of this process: to try a program of several ranks where there is no MPI.
 *
 * Each is sent to a worker, whose `communicator` it is. Ranks of one process take turns to compute: several are no quicker than one, which
 * uses all cores. A rank ends with the last trainer that has it, which the others are told.
 *
 * @param n - How many there are.
 * @returns The ranks.
 * @throws {@link LayerError} `InvalidArgument`: `n` is 0, or more than 1024.
 * @see {@link training.rank}
 * @example
 * ```ts
 * tl.training.localRanks(2).map(({ rank, size }) => [rank, size]); // → [[0, 2], [1, 2]]
 * ```
 */
export function localRanks(n: number): LocalRank[] {
  return native.offerRanks(n).map((id, rank) => ({ rank, size: n, id }));
}

/** The number of this process or thread among those that a trainer is to share its batches with; joins them. */
export function rankNumber(communicator: 'auto' | LocalRank | null | undefined): number {
  if (communicator === 'auto') return rank().rank;
  return communicator?.rank ?? 0;
}
