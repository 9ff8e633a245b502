/** The loss at each step, as a curve. */

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [640, 220, 44, 24];
const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element of a drawing.
 *
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function element(name, attributes, text = '') {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.textContent = text;
  return made;
}

/** A curve that grows, and goes back where a run does. */
export class Curve {
  /** @type {(readonly [number, number])[]} */
  #points = [];
  /** @type {Element} */
  #svg;

  /** @param {Element} svg */
  constructor(svg) {
    this.#svg = svg;
  }

  /** The last loss; `undefined` if there is none. */
  get last() {
    return this.#points.at(-1)?.[1];
  }

  /**
   * Goes to where a run stands: steps behind it are done anew. What the curve has of the steps before is finer than the history.
   *
   * @param {number} step
   * @param {readonly (readonly [number, number])[]} history
   */
  reset(step, history) {
    const kept = this.#points.filter(([at]) => at <= step);
    const first = kept[0]?.[0] ?? Infinity;
    this.#points = [...history.filter(([at]) => at < first), ...kept];
    this.draw();
  }

  /**
   * @param {number} step
   * @param {number} loss
   */
  add(step, loss) {
    this.#points.push([step, loss]);
    this.draw();
  }

  draw() {
    const steps = this.#points.map(([step]) => step);
    const losses = this.#points.map(([, loss]) => loss);
    const [most, high] = [Math.max(1, ...steps), Math.max(1, ...losses)];
    /** @param {number} step */
    const x = (step) => LEFT + ((WIDTH - LEFT) * step) / most;
    /** @param {number} loss */
    const y = (loss) => (HEIGHT - BOTTOM) * (1 - loss / (high * 1.05));
    const path = this.#points.map(
      ([step, loss], i) => `${i === 0 ? 'M' : 'L'}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`,
    );
    const marks = [0, high / 2, high].flatMap((loss) => [
      element('line', { x1: LEFT, x2: WIDTH, y1: y(loss), y2: y(loss) }),
      element('text', { x: LEFT - 6, y: y(loss) + 4, 'text-anchor': 'end' }, loss.toFixed(1)),
    ]);
    const ends = [0, most].map((step) =>
      element('text', { x: x(step), y: HEIGHT - 6, 'text-anchor': step === 0 ? 'start' : 'end' }, `step ${step}`),
    );
    this.#svg.replaceChildren(...marks, ...ends, element('path', { d: path.join('') }));
  }
}
