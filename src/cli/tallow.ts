#!/usr/bin/env node
/**
 * The program `tallow`.
 *
 * @module
 */
import { main } from './main.js';

void main(process.argv.slice(2));
