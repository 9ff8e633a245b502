/** How the program shows what it is doing. */
import { SingleBar } from 'cli-progress';

/** What a step of training is reported with. */
export interface Report {
  /** Steps done. */
  readonly done: number;
  /** Bits per character on the last batches. */
  readonly bits: number;
  /** Characters trained on, all together. */
  readonly tokens: number;
  readonly seconds: number;
}

/** `4_321` as "4.3k". */
const short = (n: number): string =>
  n < 1000 ? n.toFixed(0) : n < 100_000 ? `${(n / 1000).toFixed(1)}k` : `${(n / 1000).toFixed(0)}k`;

/** `95` as "1:35". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** A live bar on a terminal; elsewhere a line at every tenth. */
export class Progress {
  readonly #total: number;
  readonly #bar: SingleBar | undefined;
  #tenths = 0;

  constructor(total: number) {
    this.#total = total;
    if (!process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      format: '{bar} step {value}/{total} · loss {loss} bits · {speed} tokens/s · {left} left',
      barCompleteChar: '━',
      barIncompleteChar: ' ',
      barsize: 24,
      hideCursor: true,
      // Ctrl-C is the program's: it stops, saves, and closes the bar itself.
      gracefulExit: false,
    });
    this.#bar.start(total, 0, { loss: '–', speed: '–', left: '–:––' });
  }

  update({ done, bits, tokens, seconds }: Report): void {
    const shown = {
      loss: bits.toFixed(2),
      speed: short(tokens / seconds),
      left: clock((seconds / done) * (this.#total - done)),
    };
    this.#bar?.update(done, shown);
    const tenths = Math.floor((10 * done) / this.#total);
    if (this.#bar === undefined && tenths > this.#tenths) {
      this.#tenths = tenths;
      console.error(
        `step ${done}/${this.#total} · loss ${shown.loss} bits · ${shown.speed} tokens/s · ${shown.left} left`,
      );
    }
  }

  stop(): void {
    this.#bar?.stop();
  }
}
