/** The training process of the template, forked by Node in place of Electron's utilityProcess, and a page's end of the port to it. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Command, LabEvent } from '../../../packages/create-tallow/templates/parts/page/page/protocol.js';

type Kind = LabEvent['type'];
type Of<K extends Kind> = Extract<LabEvent, { readonly type: K }>;

/** How long a test waits for an event. */
const PATIENCE_MS = 60_000;

/** Forks the training process of a project. */
export function forkTrainer(
  project: string,
  data: string,
  { steps, preload = [] }: { steps?: number; preload?: readonly string[] } = {},
): ChildProcess {
  const args = [data, join(project, 'text.txt'), ...(steps === undefined ? [] : [String(steps)])];
  const required = [join(__dirname, 'parentPort.cjs'), ...preload].flatMap((file) => ['--require', file]);
  return fork(join(project, 'dist', 'trainer.js'), args, {
    execArgv: [...required, '--disallow-code-generation-from-strings'],
    serialization: 'advanced',
  });
}

/** A page's end of a port. */
export class Page {
  static #count = 0;
  readonly #number = (Page.#count += 1);
  readonly #child: ChildProcess;
  /** All that came so far. */
  readonly heard: LabEvent[] = [];
  #wake: (() => void)[] = [];

  /** Connects to a process, which is then told of this page. */
  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', ({ port, data }: { port: number; data: LabEvent }) => {
      if (port !== this.#number) return;
      this.heard.push(data);
      for (const wake of this.#wake.splice(0)) wake();
    });
    child.send({ connect: this.#number });
  }

  send(data: Command): void {
    this.#child.send({ port: this.#number, data });
  }

  /** The first event of a kind that came or comes, from number `from` of those heard. */
  async hear<K extends Kind>(type: K, is: (event: Of<K>) => boolean = () => true, from = 0): Promise<Of<K>> {
    const isWanted = (event: LabEvent): event is Of<K> => event.type === type && is(event as Of<K>);
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = this.heard.slice(from).find(isWanted);
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error(`no \`${type}\` came; heard ${JSON.stringify(this.heard.slice(-5))}`);
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        setTimeout(resolve, 1000).unref();
      });
    }
  }
}
