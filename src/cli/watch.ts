/**
 * Shows what a loop does, without a part in it.
 *
 * @module
 */
import { type Loop } from '../training/loop/loop.js';
import { ProgressBar } from '../training/progressBar.js';
import { METRICS, print, printJson } from './output.js';

const EVERY_MS = 200;

/** What is measured: by step, mode and name. */
type Measured = Map<number, Record<string, Record<string, number>>>;

/** `train loss 0.25 · eval loss 0.5 · accuracy 0.9`, without what is no metric. */
const shown = (modes: Readonly<Record<string, Readonly<Record<string, number>>>>): string =>
  Object.entries(modes)
    .flatMap(([mode, metrics]) =>
      Object.entries(metrics)
        .filter(([name]) => name.startsWith(METRICS))
        .map(([name, value], i) => `${i === 0 ? `${mode} ` : ''}${name.slice(METRICS.length)} ${value.toPrecision(4)}`),
    )
    .join(' · ');

/** Looks at a loop now and then, and shows its steps and what it measured. */
export class Watch implements Disposable {
  readonly #loop: Loop;
  readonly #as: 'json' | 'text' | 'nothing';
  readonly #first: number;
  readonly #bar: ProgressBar | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #seen = new Map<string, number>();
  #last = '';

  constructor(loop: Loop, total: number, as: 'json' | 'text' | 'nothing') {
    this.#loop = loop;
    this.#as = as;
    this.#first = loop.step;
    this.#bar = as === 'text' ? new ProgressBar(total - loop.step) : undefined;
    // What was measured before was shown before.
    this.#measured(Infinity);
    this.#timer = setInterval(() => this.show(), EVERY_MS);
  }

  /** What was measured before a step, and was not asked for yet. */
  #measured(end: number): Measured {
    const { history } = this.#loop;
    const all: Measured = new Map();
    for (const mode of history.modes) {
      for (const metric of history.metricsForMode(mode)) {
        const entries = history.get(mode, metric);
        const id = `${mode} ${metric}`;
        const seen = this.#seen.get(id) ?? 0;
        const fresh = entries.slice(seen).filter(({ step }) => step < end);
        for (const { step, value } of fresh) {
          const modes = all.get(step) ?? {};
          all.set(step, modes);
          (modes[mode] ??= {})[metric] = value;
        }
        this.#seen.set(id, seen + fresh.length);
      }
    }
    return all;
  }

  /** Shows what is new: of a step all that was measured, so when the next one is done, or the run. */
  show(isOver = false): void {
    for (const [step, modes] of this.#measured(isOver ? Infinity : this.#loop.step)) {
      if (this.#as === 'json') printJson({ event: 'metrics', step, ...modes });
      this.#last = shown(modes);
      // In a terminal the bar shows it.
      if (this.#as === 'text' && !process.stderr.isTTY) print(`step ${step} · ${this.#last}`);
    }
    const done = this.#loop.step - this.#first;
    if (done > 0) this.#bar?.update(done, this.#last);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#bar?.stop();
  }
}
