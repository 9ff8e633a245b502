/**
 * Weights and state of layers in files.
 *
 * @module
 */
import { flag, list, text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { withPlain } from './construct.js';
import { HANDLE, type Handled } from './handle.js';
import { type FileOptions, type InitFromFileOptions, type LoadReport, type SaveToFileOptions } from './options.js';
import { given } from './parts.js';

const SAVE: Names<SaveToFileOptions> = { weightsOnly: true, inputSignature: true, weights: true };
const LOAD: Names<InitFromFileOptions> = {
  weightsOnly: true,
  inputSignature: true,
  strict: true,
  prefix: true,
  into: true,
};

/** Checks what a method that saves or loads is given, and calls `f` with it. */
function withFile<D extends string, O extends FileOptions<D>, T>(
  layer: Handled,
  method: string,
  path: string,
  options: O,
  names: Names<O>,
  f: (id: number, path: string, weightsOnly: boolean, signature: unknown, options: Partial<O>) => T,
): T {
  const known = optionsOf(`${layer.name}.${method}`, options, names);
  const { weightsOnly = false, inputSignature } = known;
  const file = text(`${method}: path`, path);
  return f(layer[HANDLE].use(layer), file, flag(`${method}: weightsOnly`, weightsOnly), given(inputSignature), known);
}

/** Writes the weights and state that a layer holds to a file. */
export function save<D extends string>(layer: Handled, path: string, options: SaveToFileOptions<D>): void {
  withFile(layer, 'saveToFile', path, options, SAVE, (id, file, weightsOnly, signature, { weights }) =>
    native.saveLayer(id, file, weightsOnly, signature, patterns(weights)),
  );
}

function patterns(weights: string | readonly string[] | undefined): string[] | null {
  if (weights === undefined) return null;
  const what = 'saveToFile: weights';
  return typeof weights === 'string'
    ? [text(what, weights)]
    : list(what, weights).map((pattern) => text(what, pattern));
}

/** Reads the weights and state of a layer from a file: what was taken, and what did not fit. */
export function load<D extends string>(layer: Handled, path: string, options: InitFromFileOptions<D>): LoadReport {
  return withFile(layer, 'initFromFile', path, options, LOAD, (id, file, weightsOnly, signature, rest) => {
    const { strict, prefix, into } = rest;
    return withPlain('initFromFile', { strict, prefix, into }, (value) =>
      native.loadLayer(id, file, weightsOnly, signature, value),
    );
  });
}
