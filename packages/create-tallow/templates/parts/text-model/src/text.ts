/** The text that the model learns from. */
import { readFileSync } from 'node:fs';
import * as tl from 'tallow';

/** A text as numbers, and the encoder of its characters. */
export interface Text {
  readonly encoder: tl.data.Encoder;
  /** What the model learns from. */
  readonly train: Int32Array;
  /** The last tenth, which the model is measured on and never learns from. */
  readonly heldOut: Int32Array;
}

/** Reads a text file. Number 0 stands before the first character; characters are 1 and up. */
export function readText(path: string): Text {
  const text = readFileSync(path, 'utf8').replaceAll('\r\n', '\n');
  const encoder = tl.data.characterEncoder(text, { reserved: 1 });
  const ids = encoder.encode(text);
  const cut = Math.floor(ids.length * 0.9);
  return { encoder, train: ids.subarray(0, cut), heldOut: ids.subarray(cut) };
}
