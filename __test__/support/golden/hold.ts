/** Which modules have golden cases, and how a case is held to its line among the mended ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../process.js';
import { Accepted, type Case, Different, type Module } from './case.js';
import { checkCase } from './check.js';

/** Where the cases of each module lie. */
export const modules: readonly [crate: string, module: string][] = [
  ...[
    'acceleration',
    'base',
    'initializers',
    'activation_fns',
    'combinators',
    'convolution',
    'deconvolution',
    'core',
    'attention',
    'metrics',
    'normalization',
    'pooling',
    'position_encodings',
    'rel_attention',
    'resampling',
    'reversible',
    'rnn',
    'sparsity',
    'assert_shape',
    'efficient_attention',
    'rotary_positional_embedding',
    // Pairs of options, odd shapes and shared layers of all modules.
    'options',
  ].map((module): [string, string] => ['layers', module]),
  ['tensor', 'random'],
  ['training', 'optimizers'],
  ['training', 'lr_schedules'],
  ['training', 'training'],
];

/** A case that records what Trax does and tallow deliberately does not. The Rust tests read the same list. */
export interface Mended {
  readonly why: string;
  /** What comes of the case: `value` if something recorded is another, `accepted` if Trax alone refuses it, or the code of an error. */
  readonly differs: string;
}
export const mended = JSON.parse(
  readFileSync(join(root, 'crates', 'layers', 'tests', 'mended.json'), 'utf8'),
) as Readonly<Record<string, Mended>>;

/** What came of a case: nothing, if it does as Trax does. */
function difference(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  if (error instanceof Accepted) return 'accepted';
  if (error instanceof Different) return 'value';
  return (error as { code?: string }).code;
}

/** Runs a case and holds it to its line among the mended ones, or to there being none. */
export function hold(module: Module, it: Case, line: Mended | undefined): void {
  let failure: unknown;
  try {
    checkCase(module, it);
  } catch (error) {
    failure = error;
  }
  const found = difference(failure);
  if (found === line?.differs && (failure === undefined || line !== undefined)) return;
  if (line === undefined) throw failure;
  const what = `it is listed as mended by ${line.differs}: ${line.why}`;
  throw new Error(failure === undefined ? `${what}; but it does as Trax does` : what, { cause: failure });
}
