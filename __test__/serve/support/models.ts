/** Models that are served in tests: made alike in the process of the server and in that of the test. */
import * as tl from '../../../src/index.js';
import { type ServedModel } from '../../../src/serve/index.js';

export const encoder = tl.data.byteEncoder();

/** A template that says who said what. */
const TEMPLATE = [
  "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('system comes first') }}{% endif %}",
  '{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}',
].join('');

/** What a chat becomes. */
export const chatPrompt = (...said: readonly (readonly [role: string, content: string])[]): string =>
  `${said.map(([role, content]) => `${role}: ${content}\n`).join('')}assistant: `;

const TOKENS = { shape: [1, 4], dtype: 'int32' } as const;

/** A language model of 128 positions. */
export function lm(): ServedModel {
  const model = tl.models.TransformerLM(256, { dModel: 32, dFf: 64, nHeads: 2, nLayers: 2, maxLen: 128 });
  model.init(TOKENS, { rng: tl.random.key(0) });
  return { name: 'lm', model, encoder, chatTemplate: TEMPLATE };
}

/** A recurrent one, whose outputs may be of any length. */
export function endless(): ServedModel {
  const model = tl.Serial(tl.Embedding(256, 16), tl.LSTM(16), tl.Dense(256));
  model.init(TOKENS, { rng: tl.random.key(5) });
  return { name: 'endless', model, encoder, generation: { startId: null, temperature: 0.9 } };
}

/** One whose weights are NaN. */
export function broken(): ServedModel {
  const model = tl.Serial(tl.Embedding(256, 4), tl.Dense(256));
  model.init(TOKENS, { rng: tl.random.key(1) });
  model.weights = tl.tree.map((weight: tl.Tensor) => weight.mul(Number.NaN), model.weights);
  return { name: 'broken', model, encoder };
}

/** A classifier of points. */
export function points(): ServedModel {
  const model = tl.Serial(tl.Dense(3), tl.Dropout({ rate: 0.5 }), tl.LogSoftmax());
  model.init({ shape: [1, 2], dtype: 'float32' }, { rng: tl.random.key(2) });
  return { name: 'points', model, task: 'predict' };
}

/** A classifier of texts. */
export function texts(): ServedModel {
  const model = tl.models.TransformerEncoder(257, {
    nClasses: 4,
    dModel: 16,
    dFf: 32,
    nHeads: 2,
    nLayers: 1,
    maxLen: 32,
  });
  model.init(TOKENS, { rng: tl.random.key(3) });
  return { name: 'texts', model, task: 'predict', encoder: tl.data.byteEncoder({ reserved: 1 }) };
}

/** One that reads a source and writes a target: prompts are sources. */
export function translator(): ServedModel {
  const model = tl.models.Transformer(256, {
    dModel: 32,
    dFf: 64,
    nHeads: 2,
    nEncoderLayers: 1,
    nDecoderLayers: 1,
    maxLen: 64,
  });
  model.init([TOKENS, TOKENS], { rng: tl.random.key(4) });
  return { name: 'translator', model, encoder, chatTemplate: TEMPLATE, generation: { eosId: 255 } };
}

/** All of them. */
export const served = (): ServedModel[] => [lm(), endless(), broken(), points(), texts()];
