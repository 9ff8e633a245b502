/**
 * The commands there are: a file each, and a line here.
 *
 * @module
 */
import { type Command } from 'commander';
import { bench } from './bench.js';
import { convert } from './convert.js';
import { evaluate } from './evaluate.js';
import { generate } from './generate.js';
import { info } from './info.js';
import { inspect } from './inspect.js';
import { train } from './train.js';

/** Makes each command, in the order of the help. */
export const commands: readonly (() => Command)[] = [train, evaluate, generate, inspect, convert, bench, info];
