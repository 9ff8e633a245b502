#!/usr/bin/env node
/**
 * The program `tallow`.
 *
 * @module
 */
import module from 'node:module';

// Node 22.8 and newer keep compiled code from one start to the next; whoever wants none sets NODE_DISABLE_COMPILE_CACHE.
if ('enableCompileCache' in module && typeof module.enableCompileCache === 'function') module.enableCompileCache();

void import('./main.js').then(({ main }) => main(process.argv.slice(2)));
