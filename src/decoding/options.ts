/**
 * What decoding takes, and what it gives.
 *
 * @module
 */
import { type Encoder, type Ids } from '../data/encoder.js';
import { type CancelSignal } from '../layer/types.js';
import { type TensorLike } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Prefix } from './prefix.js';

/** What a model goes on from: ids of tokens, or text if there is an `encoder`. */
export type Prompt = string | Ids;

/** How the next token is chosen: first biases and penalties, then the temperature, `topK`, `topP`, `minP`, then the draw. */
export interface SamplingOptions {
  /** How even the choice is: 1 draws by the model's probabilities, less prefers likely tokens, 0 takes the likeliest; 1 if left out. */
  readonly temperature?: number | undefined;
  /** Only so many of the likeliest tokens are drawn from; all of them if left out. */
  readonly topK?: number | null | undefined;
  /** Only the likeliest tokens that have this share of all probability together are drawn from; 1 if left out. */
  readonly topP?: number | undefined;
  /** Only tokens with at least this share of the probability of the likeliest one are drawn from; 0 if left out. */
  readonly minP?: number | undefined;
  /** What logits of tokens in the prompt and the output are divided by, or multiplied by if they are negative; 1 if left out. */
  readonly repetitionPenalty?: number | undefined;
  /** What is taken from the logits of tokens in the output; 0 if left out. */
  readonly presencePenalty?: number | undefined;
  /** What is taken from the logits of tokens for each time that they are in the output; 0 if left out. */
  readonly frequencyPenalty?: number | undefined;
  /** What is added to the logits of tokens, by their ids; `-Infinity` forbids one. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
}

/** What prompts and models are given by. */
export interface PromptOptions {
  /** The encoder of prompts and outputs, for text. Ids that it does not have are never chosen, as of a model whose vocabulary is padded. */
  readonly encoder?: Encoder | null | undefined;
  /** The source, for a model that takes a source and a target: ids, text if there is an `encoder`, or a tensor `[1, …]`. */
  readonly inputs?: Prompt | TensorLike | null | undefined;
  /**
   * The token that a model which shifts its input to the right begins with, as `TransformerLM` does; `null` for a model that does not shift. 0 if
   * left out.
   */
  readonly startId?: number | null | undefined;
  /** Ends the work; who waits for it gets the signal's reason. */
  readonly signal?: CancelSignal | undefined;
}

/** Options of {@link generate}, {@link sample} and {@link Decoder.generate}. */
export interface GenerateOptions extends SamplingOptions, PromptOptions {
  /** The random key of the draws; needed unless `temperature` is 0. */
  readonly rng?: Key | null | undefined;
  /** What the output begins with before its prompt, read once by {@link Decoder.prefix}. */
  readonly prefix?: Prefix | null | undefined;
  /** The most tokens of the output; 100 if left out. */
  readonly maxTokens?: number | undefined;
  /** The token that ends an output; none if left out. */
  readonly eosId?: number | null | undefined;
  /** More tokens that end an output. */
  readonly stopTokens?: readonly number[] | undefined;
  /** Strings that end an output and are not part of its text. */
  readonly stop?: string | readonly string[] | undefined;
  /** For how many of the likeliest tokens to tell the log-probabilities too; 0 if left out. */
  readonly logProbs?: number | undefined;
  /**
   * How many positions the model sees at most. When they are full, it reads the last half of them anew and goes on. If left out, an output ends at the
   * model's last position.
   */
  readonly window?: number | null | undefined;
  /** Milliseconds after which an output ends with the tokens it has. */
  readonly timeoutMs?: number | null | undefined;
}

/** Options of a {@link Decoder}. */
export interface DecoderOptions {
  /** The most requests that are under way at once, others wait; 64 if left out. */
  readonly maxBatch?: number | undefined;
  /** The most tokens of prompts that one step reads, so that a long prompt does not hold others up; 1,024 if left out. */
  readonly promptTokens?: number | undefined;
}

/** Why an output ended: at a token or string to stop at, with its greatest length, or because its time was over. */
export type FinishReason = 'stop' | 'length' | 'cancelled';

/** A token and its log-probability. */
export interface TokenLogProb {
  /** The id. */
  readonly token: number;
  /** The logarithm of its probability. */
  readonly logProb: number;
}

/** One token of an output. */
export interface GeneratedToken extends TokenLogProb {
  /** The logarithm of its probability by the model itself, before temperature, penalties and biases. */
  readonly logProb: number;
  /** What the text has more with it, if there is an encoder: whole characters, and nothing that may become a string to stop at. */
  readonly text?: string;
  /** The likeliest tokens there, if `logProbs` asks for them. */
  readonly topLogProbs?: readonly TokenLogProb[];
  /** Why the output ends, with its last token. */
  readonly finishReason?: FinishReason;
}

/** A whole output. */
export interface Sample {
  /** Its tokens, with the one that ended it if one did. */
  readonly tokens: number[];
  /** The log-probability of each. */
  readonly logProbs: number[];
  /** Its text, if there is an encoder. */
  readonly text?: string;
  /** For each token the likeliest ones there, if `logProbs` asks for them. */
  readonly topLogProbs?: (readonly TokenLogProb[])[];
  /** Why it ended. */
  readonly finishReason: FinishReason;
}
