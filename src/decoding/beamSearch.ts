/**
 * Beam search.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { withCancel } from '../layer/cancel.js';
import { numberOfLayer } from '../layer/given.js';
import { type Layer } from '../layer/layer.js';
import { crossing } from './crossing.js';
import { type Prompt, type PromptOptions } from './options.js';

/** Options of {@link beamSearch}. */
export interface BeamSearchOptions extends PromptOptions {
  /** How many beginnings are gone on with, and the most outputs; 2 if left out. */
  readonly nBeams?: number | undefined;
  /** The token that ends an output, `null` if none does; 1 if left out. */
  readonly eosId?: number | null | undefined;
  /** The most tokens of an output; 100 if left out. */
  readonly maxLength?: number | undefined;
  /** How much longer outputs are preferred: log-probabilities are divided by `((5 + length) / 6)` to this power; 1 if left out. */
  readonly lengthPenalty?: number | undefined;
}

/** An output of beam search. */
export interface Beam {
  /** Its tokens, with the one that ends it if one does. */
  readonly tokens: number[];
  /** The logarithm of its probability. */
  readonly logProb: number;
  /** That divided by the length penalty: outputs are ordered by it. */
  readonly score: number;
  /** Its text, if there is an encoder. */
  readonly text?: string;
}

/**
 * Looks for the likeliest outputs: goes on with a few of the likeliest beginnings at a time.
 *
 * Trax's `beam_search` ignores `eos_id` and `length_penalty`. Here an output ends at `eosId`, and scores are divided by the penalty of
 * https://arxiv.org/abs/1609.08144.
 *
 * @param model - The model, as for {@link generate}.
 * @param prompt - Ids of tokens, or text if there is an `encoder`.
 * @param options - Options by name:
 * - `nBeams`: How many beginnings are gone on with, and the most outputs. Default: `2`.
 * - `startId`: The token that a model which shifts its input begins with; `null` for a model that does not shift. Default: `0`.
 * - `eosId`: The token that ends an output; `null` if none does. Default: `1`.
 * - `maxLength`: The most tokens of an output. Default: `100`.
 * - `lengthPenalty`: The power of the length penalty; 0 for none. Default: `1`.
 * - `encoder`, `inputs`, `signal`: As for {@link generate}.
 * @returns The outputs, the best first.
 * @throws `TypeError`: an argument is of another kind.
 * @throws {@link LayerError} `InvalidArgument`: there are more beams than the model has tokens, or the prompt has what is no id.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
 * @example
 * ```ts
 * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const beams = await tl.decoding.beamSearch(model, [3, 1, 4], { nBeams: 3, maxLength: 5 });
 * beams.length; // → 3
 * ```
 */
export async function beamSearch(model: Layer, prompt: Prompt, options: BeamSearchOptions = {}): Promise<Beam[]> {
  const search = crossing('beamSearch', prompt, options, (given) =>
    native.newBeamSearch(
      numberOfLayer('beamSearch: model', model),
      given.prompt,
      given.inputs,
      given.options,
      given.encoder,
    ),
  );
  return withCancel('beamSearch: signal', options?.signal, async (cancel) => {
    for (;;) {
      const found = await search.advance(cancel);
      if (found !== null) return found;
    }
  });
}
