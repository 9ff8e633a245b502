/** Models that a width tells: of another one it has other weights, sizes and ids, so that a mixture cannot be opened, or answers like neither. */
import { join } from 'node:path';
import * as tl from '../../../src/index.js';
import { root } from '../../support/process.js';

export const inputSignature = { shape: [1, 4], dtype: 'int32' } as const;

export const configOf = (width: number): tl.models.LayerConfig => [
  'Serial',
  ['Embedding', 256 + width, width],
  ['Dense', 256 + width],
];

export function modelOf(width: number): tl.Layer {
  const model = tl.Serial(tl.Embedding(256 + width, width), tl.Dense(256 + width));
  model.init(inputSignature, { rng: tl.random.key(width) });
  return model;
}

/** A program that has such models as `all`, each as `tl.models.saveFolder` takes it, and runs some lines. */
export const programOf = (widths: readonly number[], lines: string): string => `
  const tl = require(${JSON.stringify(join(root, 'dist', 'index.js'))});
  const inputSignature = ${JSON.stringify(inputSignature)};
  const all = ${JSON.stringify(widths.map((width) => [width, configOf(width)]))}.map(([width, config]) => {
    const encoder = tl.data.byteEncoder({ reserved: width });
    const model = tl.models.fromConfig(config);
    model.init(inputSignature, { rng: tl.random.key(width) });
    return { model, config, inputSignature, encoder, task: 'generate' };
  });
  (async () => {
    ${lines}
  })();
`;
