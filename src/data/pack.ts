/**
 * Several sequences in one row.
 *
 * @module
 */
import { found } from '../bridge/found.js';
import { flattenNested, flattenTyped, isTypedArray } from '../tensor/data.js';
import { Tensor } from '../tensor/tensor.js';
import { END, type Plan, Saved } from './cursor.js';
import { thrownAt } from './errors.js';
import { Kept } from './kept.js';

/** A row that holds several sequences; places behind the last one are 0 in all three arrays. */
export interface Packed {
  /** The tokens, one sequence behind another. */
  readonly tokens: Int32Array;
  /** The number of the sequence that each token is of, from 1; 0 for no token. */
  readonly segments: Int32Array;
  /** The place of each token in its sequence, from 0. */
  readonly positions: Int32Array;
}

/** A sequence of tokens. */
export type Tokens = readonly number[] | Int32Array | Uint32Array | Uint8Array | Tensor;

/** Options of `pack`, complete. */
export interface PackPlan {
  readonly length: number;
  readonly buffer: number;
  readonly split: boolean;
}

function tokensOf(x: Tokens): Int32Array {
  const flat = x instanceof Tensor ? x.dataSync() : isTypedArray(x) ? x : flattenNested(x, undefined).values;
  if (flat instanceof Int32Array) return flat;
  if (!isTypedArray(flat)) throw new TypeError(`a sequence is a list of whole numbers, got ${found(x)}`);
  if (flat.length === 0) return new Int32Array(0);
  const { values, dtype } = flattenTyped(flat, undefined);
  if ((dtype === 'uint32' || dtype === 'uint8') && isTypedArray(values)) {
    const narrow = Int32Array.from(values, Number);
    if (narrow.every((token) => token >= 0)) return narrow;
  }
  throw new TypeError(`the tokens of a sequence are whole numbers that int32 holds, got ${dtype}`);
}

/** A part of the element at a position. */
interface Piece {
  readonly position: number;
  readonly start: number;
  readonly tokens: Int32Array;
}

interface Row {
  used: number;
  readonly pieces: Piece[];
}

function laidOut({ pieces }: Row, length: number): Packed {
  const out = {
    tokens: new Int32Array(length),
    segments: new Int32Array(length),
    positions: new Int32Array(length),
  };
  let at = 0;
  pieces.forEach(({ tokens }, i) => {
    out.tokens.set(tokens, at);
    out.segments.fill(i + 1, at, at + tokens.length);
    for (let j = 0; j < tokens.length; j += 1) out.positions[at + j] = j;
    at += tokens.length;
  });
  return out;
}

/** Sequences put into rows: each into the first of the open rows that has room. */
export function packed(before: Plan<Tokens>, { length, buffer, split }: PackPlan): Plan<Packed> {
  const step = 'Dataset.pack';
  const read = (x: Tokens, position: number): Int32Array => {
    try {
      const tokens = tokensOf(x);
      if (tokens.length > length && !split) {
        throw new RangeError(
          `a sequence of ${tokens.length} tokens is longer than a row of ${length}: give split: true to cut it, or leave it out by filter`,
        );
      }
      return tokens;
    } catch (error) {
      throw thrownAt(step, position, error, 'InvalidArgument');
    }
  };
  return {
    step,
    async open(from, epochs) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      const at = saved?.count('at') ?? 0;
      const savedRows = saved?.lists('rows').map((row) => row.map((x, i) => (i % 3 === 0 ? at + x : x))) ?? [];
      const [savedPosition, savedStart = 0] = saved?.counts('waiting') ?? [];
      const whose = savedRows.flatMap((row) => row.filter((_, i) => i % 3 === 0));
      if (savedPosition !== undefined) whose.push(at + savedPosition);
      const [kept, elements] = await Kept.open(step, before, epochs, saved, whose, 4 * buffer);
      const sequences = new Map([...elements].map(([position, x]) => [position, read(x, position)]));
      const pieceOf = (position: number, start: number, end?: number): Piece => ({
        position,
        start,
        tokens: (sequences.get(position) ?? new Int32Array(0)).subarray(start, end),
      });
      const rows = savedRows.map((row): Row => {
        const pieces: Piece[] = [];
        for (let i = 0; i + 2 < row.length; i += 3) pieces.push(pieceOf(row[i]!, row[i + 1]!, row[i + 2]!));
        return { used: pieces.reduce((n, { tokens }) => n + tokens.length, 0), pieces };
      });
      /** What has no place yet of the last sequence read. */
      let waiting = savedPosition === undefined ? undefined : pieceOf(at + savedPosition, savedStart);
      const held = (): number[] => [
        ...rows.flatMap(({ pieces }) => pieces.map(({ position }) => position)),
        ...(waiting === undefined ? [] : [waiting.position]),
      ];
      const leave = (row: Row): Packed => {
        rows.splice(rows.indexOf(row), 1);
        return laidOut(row, length);
      };
      /** Puts as much as fits into a row: what is left waits. A row that must make room, or is full, is given. */
      const put = (piece: Piece): Packed | undefined => {
        const part = { ...piece, tokens: piece.tokens.subarray(0, length) };
        const size = part.tokens.length;
        let row = rows.find(({ used }) => used + size <= length);
        if (row === undefined) {
          if (rows.length === buffer) return leave(rows.reduce((a, b) => (b.used > a.used ? b : a)));
          row = { used: 0, pieces: [] };
          rows.push(row);
        }
        row.pieces.push(part);
        row.used += size;
        const rest = piece.tokens.subarray(size);
        waiting = rest.length === 0 ? undefined : { ...piece, start: piece.start + size, tokens: rest };
        return row.used === length ? leave(row) : undefined;
      };
      return {
        async next() {
          for (;;) {
            if (waiting === undefined) {
              // One after another: they stand in a row.
              // oxlint-disable-next-line no-await-in-loop
              const x = await kept.next();
              if (x === END) return rows.length === 0 ? END : leave(rows[0]!);
              const tokens = read(x, kept.read - 1);
              if (tokens.length > 0) waiting = { position: kept.read - 1, start: 0, tokens };
              kept.forget(held);
            }
            const full = waiting === undefined ? undefined : put(waiting);
            if (full !== undefined) return full;
          }
        },
        state() {
          const place = kept.state(held());
          const three = ({ position, start, tokens }: Piece): number[] => [
            position - place.at,
            start,
            start + tokens.length,
          ];
          return {
            step,
            rows: rows.map(({ pieces }) => pieces.flatMap(three)),
            waiting: waiting === undefined ? [] : [waiting.position - place.at, waiting.start],
            ...place,
          };
        },
        close: () => kept.close(),
      };
    },
  };
}
