/**
 * Prompts and options of decoding as they cross to the addon.
 *
 * @module
 */
import { Encoder } from '../data/encoder.js';
import { type native } from '../bridge/native.js';
import { encode, scoped } from '../layer/wire.js';
import { type Key, keyWords } from '../tensor/random.js';
import { namedOptions } from '../tensor/rest.js';
import { type PromptOptions } from './options.js';

/** What crosses of a call. */
export interface Crossing {
  readonly prompt: unknown;
  readonly inputs: unknown;
  readonly options: object;
  readonly encoder: ReturnType<typeof native.newEncoder> | null;
}

/** Options of a call. */
interface Given extends Pick<PromptOptions, 'encoder' | 'signal'> {
  readonly inputs?: unknown;
  readonly rng?: Key | null | undefined;
}

/** Calls `f` with what crosses; tensors that are made of plain data live until it returns. */
export function crossing<T>(
  what: string,
  prompt: unknown,
  given: Given | null | undefined,
  f: (crossing: Crossing) => T,
): T {
  const { encoder, inputs, signal: _, rng, ...rest } = namedOptions(what, given) ?? {};
  const own = Object.entries(rest).filter(([, value]) => value !== undefined);
  return scoped(() =>
    f({
      prompt: encode(prompt, `${what}: the prompt`),
      inputs: encode(inputs ?? null, `${what}: \`inputs\``),
      options: {
        ...Object.fromEntries(own.map(([name, value]) => [name, encode(value, `${what}: \`${name}\``)])),
        ...(rng === undefined || rng === null ? {} : { rng: keyWords(rng) }),
      },
      encoder: Encoder.nativeOf(`${what}: \`encoder\``, encoder),
    }),
  );
}
