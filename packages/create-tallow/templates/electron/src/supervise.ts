/** Keeps a process alive: one that ends by itself is started again, unless it does so again and again. */

/** What is asked of a process: Electron's UtilityProcess has it, and Node's ChildProcess too. */
export interface Process {
  once(event: 'exit', listener: (code: number | null) => void): unknown;
  kill(): boolean;
}

/** What happens to the process. */
export interface Watch<P extends Process> {
  /** A process was started; `ended` is the exit code of the one before it, `null` for the first one. */
  onStart(process: P, ended: number | null): void;
  /** It ended too often within a minute, and is not started again. */
  onGiveUp(code: number): void;
}

/** The most starts within a minute. */
const MOST = 5;
const MINUTE = 60_000;

/** Starts a process and keeps it alive. @returns what ends it for good */
export function supervise<P extends Process>(start: () => P, { onStart, onGiveUp }: Watch<P>): () => void {
  let starts: number[] = [];
  let over = false;
  let current: P;
  const begin = (ended: number | null): void => {
    const now = Date.now();
    starts = [...starts.filter((time) => now - time < MINUTE), now];
    current = start();
    current.once('exit', (code) => {
      if (over) return;
      // A process that a signal ended has no code.
      const ended = code ?? -1;
      if (starts.length >= MOST) onGiveUp(ended);
      else begin(ended);
    });
    onStart(current, ended);
  };
  begin(null);
  return () => {
    over = true;
    current.kill();
  };
}
