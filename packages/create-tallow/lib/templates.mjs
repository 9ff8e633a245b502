// @ts-check
/** The templates that there are, and the folders each one is made of. */

/**
 * @typedef {object} Template
 * @property {string} description what a project of it does
 * @property {readonly string[]} parts folders below templates/, a later one over an earlier one
 * @property {string} next what one runs behind `npm install`
 */

/** @type {Readonly<Record<string, Template>>} */
export const templates = {
  electron: {
    description: 'a desktop app that trains a small language model and lets it write',
    parts: ['parts/text-model', 'parts/page', 'electron'],
    next: 'npm start',
  },
  server: {
    description: "a server of a language model, with OpenAI's interface and a page",
    parts: ['parts/text-model', 'parts/training', 'parts/page', 'server'],
    next: 'npm run train && npm start',
  },
  train: {
    description: 'a program that trains a small language model on a text',
    parts: ['parts/text-model', 'parts/training', 'train'],
    next: 'npm start',
  },
};

/** The names of the templates, as a sentence lists them. */
export const names = Object.keys(templates).join(', ');
