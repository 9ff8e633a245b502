// From the start of the process to the first result of a Dense(4): `node bench/startup/dense.mjs [FILE of another build]`.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const file = process.argv[2] ? resolve(process.argv[2]) : '../../dist/index.js';
const tl = createRequire(import.meta.url)(file);
const layer = tl.Dense(4);
const x = tl.ones([1, 8]);
layer.init(tl.signature(x));
console.log(layer(x).dataSync().length);
process.exit(0);
