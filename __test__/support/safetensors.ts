import { readFileSync } from 'node:fs';
import * as tl from '../../src/index.js';

/** Where an array lies. */
interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A reader of the arrays of a safetensors file, by name. */
export class SafeTensors {
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #entries: Readonly<Record<string, Entry>>;

  constructor(path: string) {
    this.#bytes = readFileSync(path);
    const length = Number(this.#bytes.readBigUInt64LE(0));
    this.#start = 8 + length;
    this.#entries = JSON.parse(this.#bytes.toString('utf8', 8, this.#start)) as Record<string, Entry>;
  }

  /** Names of all arrays. */
  get names(): string[] {
    return Object.keys(this.#entries).filter((name) => name !== '__metadata__');
  }

  /** A new tensor with the values of an array. */
  tensor(name: string): tl.Tensor {
    const entry = this.#entries[name];
    if (entry === undefined) {
      throw new RangeError(`there is no array ${name}`);
    }
    const [from, to] = entry.data_offsets;
    // A copy of its own starts at an address that suits every type.
    const bytes = new Uint8Array(this.#bytes.subarray(this.#start + from, this.#start + to));
    switch (entry.dtype) {
      case 'F32':
        return tl.tensor(new Float32Array(bytes.buffer), entry.shape);
      case 'I32':
        return tl.tensor(new Int32Array(bytes.buffer), entry.shape);
      case 'I64':
        return tl.tensor(new BigInt64Array(bytes.buffer), entry.shape);
      case 'U32':
        return tl.tensor(new Uint32Array(bytes.buffer), entry.shape);
      case 'U8':
        return tl.tensor(bytes, entry.shape);
      case 'BOOL':
        return tl.tensor(bytes, entry.shape, { dtype: 'bool' });
      case 'BF16':
        return tl.tensor(new Uint16Array(bytes.buffer), entry.shape, { dtype: 'bfloat16' });
      default:
        throw new TypeError(`${name} is of the type ${entry.dtype}, which golden files do not have`);
    }
  }
}
