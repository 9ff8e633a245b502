/** Recorded cases, as the files hold them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as tl from '../../../src/index.js';
import { root } from '../process.js';
import { SafeTensors } from '../safetensors.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Names = string | null | readonly Names[];
type Signatures = tl.Signature | readonly Signatures[];

/** How far a result may be off: `|got - want| <= atol + rtol * |want|`; 0 means bit for bit. */
export type GivenTolerance = 0 | { readonly rtol: number; readonly atol: number };

export interface Gradients {
  readonly cotangents: Names;
  readonly reconstructed?: Names;
  readonly inputs: Names;
  readonly weights: Names;
  readonly weightsChecksums: readonly Checksums[];
  readonly someWeights: { readonly [index: string]: string };
}

/** One case, as the JSON files hold it. */
export interface Case {
  readonly id: string;
  readonly kind: 'layer' | 'function' | 'error' | 'optimizer' | 'schedule' | 'training';
  readonly expr: Json;
  readonly shared?: { readonly [name: string]: Json };
  readonly name: string;
  readonly nIn: number;
  readonly nOut: number;
  readonly hasBackward: boolean;
  /** Arrays of weights and state are not kept, but sums of them. */
  readonly brief?: boolean;
  readonly text: string;
  readonly signature: Signatures;
  readonly initInputs?: Names;
  readonly inputs?: Names;
  readonly key: [number, number];
  readonly init: {
    readonly key: [number, number];
    readonly weights: readonly string[];
    readonly weightsChecksums: readonly Checksums[];
    readonly stateChecksums: readonly Checksums[];
    readonly someWeights?: { readonly [index: string]: string };
    readonly state: readonly string[];
    readonly weightsTree: Json;
    readonly stateTree: Json;
    readonly tol: GivenTolerance;
  };
  readonly weights: readonly string[];
  readonly state?: readonly string[];
  readonly givenState?: boolean;
  readonly steps: readonly {
    readonly key: [number, number];
    readonly inputs: Names;
    readonly outputs: Names;
    readonly state: readonly string[];
    readonly stateChecksums: readonly Checksums[];
    readonly stateTree?: Json;
    readonly grad?: Gradients | null;
    readonly step: number;
    readonly grads: readonly string[];
    readonly weights: readonly string[];
    readonly slots: readonly string[];
    readonly metrics: { readonly gradients_l2: number; readonly weights_l2: number };
  }[];
  readonly tensors: readonly string[];
  readonly result: Json;
  readonly grad?: { readonly wrt: readonly string[]; readonly cotangents: Names; readonly grads: Names } | null;
  readonly tol: GivenTolerance;
  readonly gradTol: GivenTolerance;
  readonly points: readonly [number, number][];
  readonly model: Json;
  readonly loss: Json;
  readonly optimizer: Json;
  readonly batches: readonly (readonly string[])[];
  readonly keys: readonly [number, number][];
  readonly losses: readonly number[];
  readonly finalWeightsChecksums: readonly Checksums[];
}

/** What stands for an array that is too large to be kept. */
export interface Checksums {
  readonly shape: readonly number[];
  readonly sum: number;
  readonly sumAbs: number;
  readonly sumSquares: number;
}

/** A case needs a name that the package does not export. */
export class Missing extends Error {}

/** Something came out other than recorded; the layer itself did not refuse anything. */
export class Different extends Error {}

/** Trax refuses the case, and it was not refused. */
export class Accepted extends Different {}

/** Cases of a module with their arrays. */
export interface Module {
  readonly name: string;
  readonly cases: readonly Case[];
  readonly arrays: SafeTensors | undefined;
}

/** Reads `<crate>/tests/golden/<name>`, the one copy that the tests of both languages use. */
export function readModule(crate: string, name: string): Module {
  return readCases(join(root, 'crates', crate, 'tests', 'golden'), name);
}

/** Reads the cases of a module that lie in a folder. */
export function readCases(folder: string, name: string): Module {
  const at = (ending: string): string => join(folder, name + ending);
  const { cases } = JSON.parse(readFileSync(at('.json'), 'utf8')) as { cases: Case[] };
  const hasArrays = cases.some((c) => c.kind !== 'schedule');
  return { name, cases, arrays: hasArrays ? new SafeTensors(at('.safetensors')) : undefined };
}
