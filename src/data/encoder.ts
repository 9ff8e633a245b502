/**
 * Text as numbers, and back.
 *
 * @module
 */
import { found, isIterable, isList, list, text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { isTypedArray } from '../tensor/data.js';
import { Tensor, wrap } from '../tensor/tensor.js';
import { plainOptions } from './options.js';

/** An encoder of the addon. */
type NativeEncoder = ReturnType<typeof native.newEncoder>;

/** Options of {@link Encoder.encode}. */
export interface EncodeOptions {
  /** Whether a tokenizer adds the tokens that its file puts around a text; `true` if left out. */
  readonly addSpecialTokens?: boolean | undefined;
}

/** Options of {@link Encoder.decode}. */
export interface DecodeOptions {
  /** Whether special tokens are left out of the text; `true` if left out. */
  readonly skipSpecialTokens?: boolean | undefined;
}

/** Options of {@link byteEncoder} and {@link characterEncoder}. */
export interface ReservedOptions {
  /** Ids before those of bytes or characters, for padding, ends of texts and the like; 0 if left out. */
  readonly reserved?: number | undefined;
}

/** Options of {@link trainBytePair}. */
export interface BytePairOptions {
  /** How many tokens to learn, the 256 bytes and the special tokens among them. */
  readonly vocabSize: number;
  /** How often a pair must be there to become a token; 0 if left out. */
  readonly minFrequency?: number | undefined;
  /** Tokens of their own, which get the first ids; none if left out. */
  readonly specialTokens?: readonly string[] | undefined;
}

/** Ids as they come: numbers, a typed array or a tensor. */
export type Ids = readonly number[] | Int32Array | Uint32Array | Uint8Array | Tensor;

function idsOf(ids: Ids): number[] {
  if (ids instanceof Tensor) return Array.from(ids.dataSync(), Number);
  if (!isList(ids) && !isTypedArray(ids)) {
    throw new TypeError(`decode: ids must be an array of numbers, a typed array or a tensor, got ${found(ids)}`);
  }
  return Array.from(ids, (id) => {
    if (typeof id !== 'number') throw new TypeError(`decode: ids are numbers, got ${found(id)}`);
    return id;
  });
}

/** The numbers of a tensor that the addon made for them. */
function taken(id: number): Int32Array {
  const ids = wrap(id);
  const values = ids.dataSync();
  ids.dispose();
  return values instanceof Int32Array ? values : Int32Array.from(values, Number);
}

function isHandle(x: unknown): x is { readonly $tensor: number } {
  return typeof x === 'object' && x !== null && '$tensor' in x && typeof x.$tensor === 'number';
}

/**
 * Turns text into ids and back: by bytes, by characters, or as a `tokenizer.json` says.
 *
 * @see {@link byteEncoder}, {@link characterEncoder}, {@link loadEncoder}, {@link trainBytePair}, which make one
 * @example
 * ```ts
 * const encoder = tl.data.byteEncoder();
 * encoder.decode(encoder.encode('whale')); // → 'whale'
 * ```
 */
export class Encoder {
  readonly #native: NativeEncoder;

  private constructor(made: NativeEncoder) {
    this.#native = made;
  }

  /** The handle of an encoder of the addon. @internal */
  static of(made: NativeEncoder): Encoder {
    return new Encoder(made);
  }

  /** The encoder of the addon that an encoder has; `null` for none. @internal */
  static nativeOf(what: string, encoder: Encoder | null | undefined): NativeEncoder | null {
    if (encoder === undefined || encoder === null) return null;
    if (!(encoder instanceof Encoder)) {
      throw new TypeError(`${what} must be an encoder, as tl.data.loadEncoder gives, got ${found(encoder)}`);
    }
    return encoder.#native;
  }

  /**
   * How many ids there are.
   */
  get vocabSize(): number {
    return this.#native.vocabSize();
  }

  /**
   * Turns a text into ids.
   *
   * @param string - The text.
   * @param options - Options by name:
   * - `addSpecialTokens`: Whether a tokenizer adds the tokens that its file puts around a text. Default: `true`.
   * @returns The ids.
   * @throws `TypeError`: `string` is not a string of whole characters.
   * @throws {@link LayerError} `InvalidArgument`: the text has a character that the encoder does not know.
   * @example
   * ```ts
   * tl.data.byteEncoder().encode('hé'); // → Int32Array(3) [ 104, 195, 169 ]
   * ```
   */
  encode(string: string, options: EncodeOptions = {}): Int32Array {
    return taken(this.#native.encode(text('encode: string', string), plainOptions('Encoder.encode', options)));
  }

  /**
   * Turns several texts into ids, on a thread beside the event loop and beside training.
   *
   * @param strings - The texts.
   * @param options - As for {@link Encoder.encode}.
   * @returns The ids of each.
   * @throws `TypeError`: `strings` is not an array of strings of whole characters.
   * @throws {@link LayerError} `InvalidArgument`: a text has a character that the encoder does not know.
   * @example
   * ```ts
   * const [first] = await tl.data.byteEncoder().encodeBatch(['ab', 'c']);
   * first; // → Int32Array(2) [ 97, 98 ]
   * ```
   */
  async encodeBatch(strings: readonly string[], options: EncodeOptions = {}): Promise<Int32Array[]> {
    const texts = list('encodeBatch: strings', strings).map((x, i) => text(`encodeBatch: strings[${i}]`, x));
    const all = await this.#native.encodeBatch(texts, plainOptions('Encoder.encode', options));
    return isList(all) ? all.filter(isHandle).map(({ $tensor }) => taken($tensor)) : [];
  }

  /**
   * Turns ids into text.
   *
   * @param ids - The ids.
   * @param options - Options by name:
   * - `skipSpecialTokens`: Whether special tokens are left out. Default: `true`.
   * @returns The text. Bytes that are no character become U+FFFD.
   * @throws `TypeError`: `ids` are not numbers.
   * @throws {@link LayerError} `IndexOutOfRange`: there is no such id.
   * @see {@link Encoder.decoder}, for ids that come one by one
   * @example
   * ```ts
   * tl.data.byteEncoder().decode([104, 105]); // → 'hi'
   * ```
   */
  decode(ids: Ids, options: DecodeOptions = {}): string {
    return this.#native.decode(idsOf(ids), plainOptions('Encoder.decode', options));
  }

  /**
   * Decodes ids that come one by one, as from a model that writes.
   *
   * @param options - As for {@link Encoder.decode}.
   * @returns A decoder, which holds back what is no whole character yet.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown.
   * @example
   * ```ts
   * const decoder = tl.data.byteEncoder().decoder();
   * [104, 195, 169].map((id) => decoder.push(id)); // → [ 'h', '', 'é' ]
   * ```
   */
  decoder(options: DecodeOptions = {}): TextDecoding {
    const stream = this.#native.stream(plainOptions('Encoder.decode', options));
    return { push: (id) => stream.push(id), end: () => stream.end() };
  }

  /**
   * Finds the id of a token.
   *
   * @param token - The token: a character, or as the `tokenizer.json` writes it.
   * @returns Its id, or `undefined` if there is none.
   * @throws `TypeError`: `token` is not a string.
   * @example
   * ```ts
   * tl.data.characterEncoder('hello').idOf('l'); // → 2
   * ```
   */
  idOf(token: string): number | undefined {
    return this.#native.idOf(text('idOf: token', token)) ?? undefined;
  }

  /**
   * Finds the token of an id.
   *
   * @param id - The id.
   * @returns The token, or `undefined` if the id stands for none.
   * @throws {@link LayerError} `IndexOutOfRange`: there is no such id.
   * @example
   * ```ts
   * tl.data.characterEncoder('hello').tokenOf(2); // → 'l'
   * ```
   */
  tokenOf(id: number): string | undefined {
    return this.#native.tokenOf(id) ?? undefined;
  }

  /**
   * Writes the encoder to a file, which {@link loadEncoder} reads: a `tokenizer.json`, if it is a tokenizer.
   *
   * @param path - Path of the file. It is whole or not there.
   * @throws {@link LayerError} `Io`: the file cannot be written.
   * @example
   * ```ts
   * tl.data.characterEncoder('hello').save('characters.json');
   * tl.data.loadEncoder('characters.json').vocabSize; // → 4
   * ```
   */
  save(path: string): void {
    this.#native.save(text('Encoder.save: path', path));
  }
}

/** Decodes ids that come one by one. */
export interface TextDecoding {
  /** What is whole with one more id. */
  push(id: number): string;
  /** What is left at the end; a character that is not whole is U+FFFD. */
  end(): string;
}

/**
 * Makes an encoder of the bytes of UTF-8.
 *
 * @param options - Options by name:
 * - `reserved`: Ids before those of the bytes, as 2 in Trax. Default: `0`.
 * @returns The encoder; its ids are those of the bytes, behind the reserved ones.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
 * @example
 * ```ts
 * tl.data.byteEncoder({ reserved: 2 }).encode('a'); // → Int32Array(1) [ 99 ]
 * ```
 */
export function byteEncoder(options: ReservedOptions = {}): Encoder {
  return Encoder.of(native.byteEncoder(plainOptions('byteEncoder', options)));
}

/**
 * Makes an encoder of the characters that a text has.
 *
 * @param string - The text whose characters are the alphabet, in the order of their code points.
 * @param options - Options by name:
 * - `reserved`: Ids before those of the characters. Default: `0`.
 * @returns The encoder. Other characters are an error.
 * @throws `TypeError`: `string` is not a string of whole characters.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
 * @example
 * ```ts
 * tl.data.characterEncoder('hello').encode('hole'); // → Int32Array(4) [ 1, 3, 2, 0 ]
 * ```
 */
export function characterEncoder(string: string, options: ReservedOptions = {}): Encoder {
  const alphabet = text('characterEncoder: string', string);
  return Encoder.of(native.characterEncoder(alphabet, plainOptions('characterEncoder', options)));
}

/**
 * Reads an encoder from a file: a `tokenizer.json` of Hugging Face, or what {@link Encoder.save} wrote.
 *
 * @param path - Path of the file.
 * @returns The encoder.
 * @throws {@link LayerError} `Io`: the file cannot be read.
 * @throws {@link LayerError} `InvalidArgument`: it is of no encoder.
 * @example
 * ```ts
 * tl.data.byteEncoder().save('bytes.json');
 * tl.data.loadEncoder('bytes.json').vocabSize; // → 256
 * ```
 */
export function loadEncoder(path: string): Encoder {
  return Encoder.of(native.loadEncoder(text('loadEncoder: path', path)));
}

/**
 * Learns a tokenizer from texts: which pairs of bytes to join into tokens, as that of GPT-2.
 *
 * It computes on a thread beside the event loop and beside training.
 *
 * @param texts - The texts: an iterable or async iterable of strings, as {@link textFile} is.
 * @param options - Options by name:
 * - `vocabSize`: How many tokens to learn, the 256 bytes and the special tokens among them.
 * - `minFrequency`: How often a pair must be there to become a token. Default: `0`.
 * - `specialTokens`: Tokens of their own, which get the first ids. Default: none.
 * @returns The encoder; its {@link Encoder.save} writes a `tokenizer.json`.
 * @throws `TypeError`: `texts` are not strings.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
 * @example
 * ```ts
 * const encoder = await tl.data.trainBytePair(['the whale, the whale'], { vocabSize: 260 });
 * encoder.encode('the whale').length; // → 5
 * ```
 */
export async function trainBytePair(
  texts: Iterable<string> | AsyncIterable<string>,
  options: BytePairOptions,
): Promise<Encoder> {
  if (!isIterable(texts)) throw new TypeError(`trainBytePair: texts must be an iterable, got ${found(texts)}`);
  const all: string[] = [];
  for await (const x of texts) all.push(text(`trainBytePair: text number ${all.length}`, x));
  const made = native.newEncoder();
  await made.train(all, plainOptions('trainBytePair', options));
  return Encoder.of(made);
}
