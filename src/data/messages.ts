/**
 * What the thread of a dataset and the one that reads it tell each other.
 *
 * @module
 */
import { type Crossed } from './crossing.js';
import { type Json, type State } from './cursor.js';
import { type DataErrorCode } from './errors.js';

/** The name of the source in messages. */
export const STEP = 'inWorker';

/** What a thread does. */
export interface Task {
  readonly url: string;
  readonly ahead: number;
  readonly argument: Json;
  readonly from: State | null;
  readonly epochs: readonly number[];
}

/** Where the dataset of the thread is behind what is told; `from` is left out where it stays. */
interface Behind {
  readonly from: State | null;
  readonly skip: number;
}

/** What a thread tells. */
export type Message =
  | (Behind & { readonly kind: 'element'; readonly element: Crossed })
  | (Behind & { readonly kind: 'end' })
  | {
      readonly kind: 'error';
      readonly code: DataErrorCode;
      readonly text: string;
      readonly step: string;
      readonly element: number | undefined;
      readonly cause: unknown;
    };
