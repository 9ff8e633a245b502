#!/usr/bin/env node
// @ts-check
/** `npm create tallow`: begins a project. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { create, Refusal, templateOf } from './lib/create.mjs';
import { names, templates } from './lib/templates.mjs';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const list = Object.entries(templates).map(([name, { description }]) => `  ${name.padEnd(10)} ${description}`);

/**
 * Asks which template to take; `null` when the user leaves.
 *
 * @returns {Promise<string | null>}
 */
async function ask() {
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new Refusal(`Name a template with --template: ${names}; for example npm create tallow -- --template train.`);
  const { isCancel, select } = await import('@clack/prompts');
  const options = Object.entries(templates).map(([value, { description: hint }]) => ({ value, label: value, hint }));
  const chosen = await select({ message: 'What do you begin with?', options });
  return isCancel(chosen) ? null : chosen;
}

/**
 * @param {string | undefined} folder
 * @param {{ template?: string }} options
 */
async function main(folder, options) {
  const name = options.template ?? (await ask());
  if (name === null) return;
  const { next, description } = templateOf(name);
  const where = folder ?? `tallow-${name}`;
  const path = create(name, where);
  console.log(`Made ${where}: ${description}.\n\nNow run:\n`);
  if (path !== process.cwd()) console.log(`  cd ${where.includes(' ') ? JSON.stringify(where) : where}`);
  console.log(`  npm install\n  ${next}`);
}

const program = new Command('create-tallow')
  .usage('[folder] --template <name>')
  .description('Begins a project with tallow.')
  .argument('[folder]', 'a folder that is new or empty; tallow-<template> if left out')
  .option('-t, --template <name>', names)
  .version(version)
  .addHelpText('after', `\nTemplates:\n${list.join('\n')}`)
  .action(main);

try {
  await program.parseAsync();
} catch (error) {
  // What the system refuses, such as a folder without permission, is told in its words.
  if (!(error instanceof Refusal) && !(error instanceof Error && 'code' in error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
