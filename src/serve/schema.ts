/**
 * What bodies of requests may have: the fields of OpenAI's interface, and a few that other servers have, too.
 *
 * @module
 */
import { found, isList, isRecord, shown, wellFormed, withArticle } from '../bridge/found.js';
import { invalid, Refusal, unsupported } from './errors.js';

/** A field that may be `null`, as all of OpenAI's may. */
const maybe = (schema: object): object => ({ ...schema, nullable: true });
const between = (minimum: number, maximum: number): object => maybe({ type: 'number', minimum, maximum });
const whole = (minimum: number, maximum: number): object => maybe({ type: 'integer', minimum, maximum });
const flag = maybe({ type: 'boolean' });
/** A field of which the code says more than a schema can. */
const any = {};

/** The most of what is counted in a body: the limits of a server are below it. */
const MOST = Number.MAX_SAFE_INTEGER;

/** The most messages of a chat, as OpenAI has it: templates take their time over each. */
const MESSAGES = 2048;

/** What is taken, and changes nothing here. */
const IGNORED = [
  'user',
  'store',
  'metadata',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'parallel_tool_calls',
  'reasoning_effort',
  'verbosity',
] as const;
/** What is refused unless it asks for nothing. */
const REFUSED = [
  'tools',
  'tool_choice',
  'functions',
  'function_call',
  'response_format',
  'modalities',
  'audio',
  'prediction',
  'web_search_options',
] as const;

const taken = (names: readonly string[]): Record<string, object> =>
  Object.fromEntries(names.map((name) => [name, any]));

const SHARED = {
  model: { type: 'string' },
  stream: flag,
  stream_options: maybe({
    type: 'object',
    properties: { include_usage: flag, include_obfuscation: flag },
    additionalProperties: false,
  }),
  n: whole(1, MOST),
  max_tokens: whole(1, MOST),
  temperature: between(0, 2),
  top_p: maybe({ type: 'number', exclusiveMinimum: 0, maximum: 1 }),
  presence_penalty: between(-2, 2),
  frequency_penalty: between(-2, 2),
  logit_bias: maybe({ type: 'object', additionalProperties: { type: 'number', minimum: -100, maximum: 100 } }),
  seed: whole(-MOST, MOST),
  stop: any,
  top_k: whole(1, MOST),
  min_p: between(0, 1),
  repetition_penalty: maybe({ type: 'number', exclusiveMinimum: 0, maximum: 10 }),
  ...taken(IGNORED),
};

/** The body of `/v1/completions`. */
export const COMPLETION = {
  type: 'object',
  required: ['model'],
  additionalProperties: false,
  properties: {
    ...SHARED,
    prompt: any,
    logprobs: whole(0, 5),
    echo: flag,
    suffix: maybe({ type: 'string' }),
    best_of: whole(1, MOST),
  },
};

/** The body of `/v1/chat/completions`. */
export const CHAT = {
  type: 'object',
  required: ['model', 'messages'],
  additionalProperties: false,
  properties: {
    ...SHARED,
    max_completion_tokens: whole(1, MOST),
    logprobs: flag,
    top_logprobs: whole(0, 20),
    messages: {
      type: 'array',
      minItems: 1,
      maxItems: MESSAGES,
      items: {
        type: 'object',
        required: ['role', 'content'],
        properties: {
          role: { type: 'string', enum: ['system', 'developer', 'user', 'assistant'] },
          content: any,
          name: { type: 'string' },
        },
        additionalProperties: false,
      },
    },
    ...taken(REFUSED),
  },
};

/** The body of `/predict`. */
export const PREDICT = {
  type: 'object',
  required: ['inputs'],
  additionalProperties: false,
  properties: { model: { type: 'string' }, inputs: any, dtype: { type: 'string', enum: ['float32', 'int32'] } },
};

/** The fields of both kinds of text. */
export interface TextBody {
  readonly model: string;
  readonly stream?: boolean | null;
  readonly stream_options?: { readonly include_usage?: boolean | null } | null;
  readonly n?: number | null;
  readonly max_tokens?: number | null;
  readonly temperature?: number | null;
  readonly top_p?: number | null;
  readonly presence_penalty?: number | null;
  readonly frequency_penalty?: number | null;
  readonly logit_bias?: Readonly<Record<string, number>> | null;
  readonly seed?: number | null;
  readonly stop?: unknown;
  readonly top_k?: number | null;
  readonly min_p?: number | null;
  readonly repetition_penalty?: number | null;
}

/** The body of a completion. */
export interface CompletionBody extends TextBody {
  readonly prompt?: unknown;
  readonly logprobs?: number | null;
  readonly echo?: boolean | null;
  readonly suffix?: string | null;
  readonly best_of?: number | null;
}

/** The body of a chat. */
export interface ChatBody extends TextBody, Readonly<Partial<Record<(typeof REFUSED)[number], unknown>>> {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
  readonly max_completion_tokens?: number | null;
  readonly logprobs?: boolean | null;
  readonly top_logprobs?: number | null;
}

/** The body of a call. */
export interface PredictBody {
  readonly model?: string;
  readonly inputs: unknown;
  readonly dtype?: 'float32' | 'int32';
}

/** What a validator tells of a fault. */
export interface SchemaFault {
  readonly instancePath: string;
  readonly keyword: string;
  readonly message?: string | undefined;
  readonly params: Readonly<Record<string, unknown>>;
  readonly data?: unknown;
}

/** The path of a field as it is written in JavaScript: `messages[0].role`. */
function fieldOf(path: string): string {
  const keys = path.split('/').slice(1);
  return keys.map((key, i) => (/^\d+$/.test(key) ? `[${key}]` : `${i === 0 ? '' : '.'}${key}`)).join('');
}

/** A fault of a body in words. */
export function faultOf(fault: SchemaFault | undefined): Refusal {
  if (fault === undefined) return new Refusal(400, 'invalid_value', 'the body is not what it must be');
  const field = shown(fieldOf(fault.instancePath));
  const inside = (name: unknown): string => (field === '' ? String(name) : `${field}.${String(name)}`);
  switch (fault.keyword) {
    case 'additionalProperties': {
      const name = inside(fault.params['additionalProperty']);
      return invalid(shown(name), `Unrecognized request argument supplied: ${shown(name)}`, 'unknown_parameter');
    }
    case 'required': {
      const name = inside(fault.params['missingProperty']);
      return invalid(name, `\`${name}\` is required`, 'missing_required_parameter');
    }
    default: {
      const what = field === '' ? 'the body' : `\`${field}\``;
      const { allowedValues: allowed, type } = fault.params;
      const wanted = typeof type === 'string' ? `must be ${withArticle(type)}` : (fault.message ?? 'is wrong');
      const must = isList(allowed) ? `must be one of ${allowed.map(String).join(', ')}` : wanted;
      return invalid(field, `${what} ${must}, got ${found(fault.data)}`);
    }
  }
}

/** Refuses what this server does not do. */
export function checkChat(body: ChatBody): void {
  for (const name of REFUSED) {
    const value = body[name];
    const asksForNothing =
      value === undefined ||
      value === null ||
      (isList(value) && (value.length === 0 || (name === 'modalities' && value.every((one) => one === 'text')))) ||
      (name.endsWith('_choice') && (value === 'none' || value === 'auto')) ||
      (name === 'response_format' && isRecord(value) && value['type'] === 'text');
    if (!asksForNothing) throw unsupported(name, `\`${name}\` is not supported by this server; leave it out`);
  }
}

/** A text of a body; half a surrogate pair has no bytes in UTF-8. */
export function textOf(param: string, x: unknown): string {
  if (typeof x !== 'string') throw invalid(param, `\`${param}\` must be a string, got ${found(x)}`);
  if (!wellFormed(x))
    throw invalid(param, `\`${param}\` must be a string of whole characters, got half a surrogate pair`);
  return x;
}

/** How many strings to stop at, and how long each may be: each is looked for behind every token. */
const [STOPS, STOP_LENGTH] = [4, 256];

/** The strings to stop at. */
export function stopsOf(stop: unknown): readonly string[] {
  if (stop === undefined || stop === null) return [];
  const stops = isList(stop) ? stop.map((one, i) => textOf(`stop[${i}]`, one)) : [textOf('stop', stop)];
  if (stops.length > STOPS) throw invalid('stop', `\`stop\` may have ${STOPS} strings at most, got ${stops.length}`);
  const wrong = stops.find((one) => one === '' || one.length > STOP_LENGTH);
  if (wrong !== undefined)
    throw invalid('stop', `a string of \`stop\` must have from 1 to ${STOP_LENGTH} characters, got ${wrong.length}`);
  return stops;
}
