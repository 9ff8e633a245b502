/**
 * What a server refuses, in the form in which OpenAI's interface tells of errors.
 *
 * @module
 */
import { withoutCode } from '../bridge/errors.js';
import { found } from '../bridge/found.js';

/** What can be wrong with a server itself, in one word. */
export type ServeErrorCode = 'InvalidOption' | 'MissingLibrary' | 'PortInUse' | 'Io';

/**
 * The error of a server that cannot be made or cannot listen.
 *
 * @example
 * ```ts
 * import { createServer, ServeError } from 'tallow/serve';
 *
 * const refused = await createServer({ models: [] }).catch((error: unknown) => error);
 * refused instanceof ServeError && refused.code; // → 'InvalidOption'
 * ```
 */
export class ServeError extends Error {
  /** What went wrong, in one word. */
  readonly code: ServeErrorCode;
  /**
   * Makes the error.
   *
   * @param code - What went wrong, in one word.
   * @param message - The sentence.
   * @param cause - What was thrown before, if anything was.
   * @throws Nothing.
   */
  constructor(code: ServeErrorCode, message: string, cause?: unknown) {
    super(`[${code}] ${message}`, cause === undefined ? {} : { cause });
    this.code = code;
  }
  static {
    this.prototype.name = 'ServeError';
  }
}

/** What else is known of a refusal. */
interface Details {
  /** The field of the body that it is about. */
  readonly param?: string | undefined;
  /** After how many seconds another try makes sense. */
  readonly retryAfter?: number | undefined;
  readonly cause?: unknown;
}

/** A request that is answered with a status of 400 or more. */
export class Refusal extends Error {
  readonly param: string | undefined;
  readonly retryAfter: number | undefined;
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    { param, retryAfter, cause }: Details = {},
  ) {
    super(message, cause === undefined ? {} : { cause });
    this.param = param;
    this.retryAfter = retryAfter;
  }
  static {
    this.prototype.name = 'Refusal';
  }
}

/** The body of an answer that refuses. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

/** What OpenAI's interface calls the kind of an error. */
function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** The body that tells of a refusal. */
export const bodyOf = ({ status, code, message, param }: Refusal): ErrorBody => ({
  error: { message, type: typeOf(status), param: param ?? null, code },
});

/** Says that the field of a body is not what it must be. */
export const invalid = (param: string, message: string, code = 'invalid_value'): Refusal =>
  new Refusal(400, code, message, { param });

/** Says that a field has something that this server does not do. */
export const unsupported = (param: string, message: string): Refusal =>
  invalid(param, message, 'unsupported_parameter');

/** Seconds after which another server may have taken over. */
const CLOSING_SECONDS = 1;

/** Says that the server ends. */
export const shuttingDown = (message: string): Refusal =>
  new Refusal(503, 'shutting_down', message, { retryAfter: CLOSING_SECONDS });

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const statusOf = (error: unknown): number | undefined =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;

/** The sentence of an error of the package, without its code and without where in a program a layer was made. */
export function sentenceOf(error: Error): string {
  return withoutCode(error.message).replace(/ · created at .*$/s, '');
}

/** Codes of errors that the request brought about. */
const OF_THE_REQUEST: ReadonlySet<string> = new Set([
  'InvalidArgument',
  'InvalidOption',
  'IndexOutOfRange',
  'ShapeMismatch',
  'DTypeMismatch',
]);
/** Seconds after which memory may be free again. */
const MEMORY_SECONDS = 5;

/** What the HTTP library refuses by itself, in words of this interface. */
const OF_HTTP: Readonly<Record<string, readonly [code: string, message: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['body_too_large', 'the body is larger than this server takes; send less'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'the body must be JSON; send the header `content-type: application/json`',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid_json', 'the body is empty, but must be a JSON object'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid_json', 'the body is not valid JSON; send an object'],
  FST_ERR_BAD_URL: ['invalid_url', 'the address is not a valid URL'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid_json', 'the body is not as long as `content-length` says'],
};

/**
 * What to answer where something was thrown.
 *
 * @param begun - whether there was an answer already, so that the request itself was in order
 */
export function refusalOf(error: unknown, begun = false): Refusal {
  if (error instanceof Refusal) return error;
  if (!(error instanceof Error)) return new Refusal(500, 'internal_error', `the server failed with ${found(error)}`);
  const code = codeOf(error);
  const status = statusOf(error);
  const ofHttp = OF_HTTP[code];
  if (status !== undefined && status >= 400 && status < 500) {
    const [name, message] = ofHttp ?? (error instanceof SyntaxError ? OF_HTTP['FST_ERR_CTP_INVALID_JSON_BODY']! : []);
    return new Refusal(status, name ?? 'invalid_request', message ?? sentenceOf(error), { cause: error });
  }
  if (OF_THE_REQUEST.has(code) && !begun) return new Refusal(400, 'invalid_value', sentenceOf(error), { cause: error });
  switch (code) {
    case 'OutOfMemory':
      return new Refusal(503, 'out_of_memory', sentenceOf(error), { retryAfter: MEMORY_SECONDS, cause: error });
    case 'Aborted':
      return new Refusal(504, 'deadline_exceeded', sentenceOf(error), { cause: error });
    case 'NotFinite':
      return new Refusal(500, 'not_finite', sentenceOf(error), { cause: error });
    case '':
      return new Refusal(500, 'internal_error', 'the server failed; its log tells more', { cause: error });
    default:
      return new Refusal(500, 'model_error', sentenceOf(error), { cause: error });
  }
}
