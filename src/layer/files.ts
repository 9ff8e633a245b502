/**
 * Weights and state of layers in files.
 *
 * @module
 */
import { flag, text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { HANDLE, type Handled } from './handle.js';
import { type FileOptions } from './options.js';
import { given } from './parts.js';

const FILE: Names<FileOptions> = { weightsOnly: true, inputSignature: true };

/** Checks what a method that saves or loads is given, and calls `f` with it. */
function withFile<D extends string>(
  layer: Handled,
  method: string,
  path: string,
  options: FileOptions<D>,
  f: (id: number, path: string, weightsOnly: boolean, signature: unknown) => void,
): void {
  const { weightsOnly = false, inputSignature } = optionsOf(`${layer.name}.${method}`, options, FILE);
  const file = text(`${method}: path`, path);
  f(layer[HANDLE].use(layer), file, flag(`${method}: weightsOnly`, weightsOnly), given(inputSignature));
}

/** Writes the weights and state that a layer holds to a file. */
export function save<D extends string>(layer: Handled, path: string, options: FileOptions<D>): void {
  withFile(layer, 'saveToFile', path, options, native.saveLayer);
}

/** Reads the weights and state of a layer from a file. */
export function load<D extends string>(layer: Handled, path: string, options: FileOptions<D>): void {
  withFile(layer, 'initFromFile', path, options, native.loadLayer);
}
