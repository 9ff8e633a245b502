/**
 * Runs a command, and says how it ended.
 *
 * @module
 */
import { Command, CommanderError } from 'commander';
import { version } from '../bridge/version.js';
import { commandsFor } from './commands.js';
import { codeOf, EXIT, Mistake, shownMessage } from './mistake.js';
import { end, styled, watchPipes } from './output.js';

const ENDINGS = `
Exit codes: 0 done, 1 it failed, 2 the command or a file it names is wrong, 130 stopped by Ctrl-C, 143 by SIGTERM.
\`tallow COMMAND --help\` tells more of a command.`;

/** A mistake in the words of a command, in colour. */
const styledError = (text: string): string =>
  `${styled(process.stderr, 'red', 'error:')}${text.replace(/^error:/, '')}`;

/** A mistake in the words of a command, as all others are told to programs. */
function mistakeAsJson(text: string): string {
  const message = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ');
  return `${JSON.stringify({ error: { kind: 'mistake', code: null, message } })}\n`;
}

async function program(words: readonly string[], json: boolean): Promise<Command> {
  const all = new Command('tallow')
    .description('Trains and evaluates models, looks into files of weights, and converts them.')
    .version(version, '-V, --version', 'tell the version')
    .helpOption('-h, --help', 'tell how it is used')
    .helpCommand(false)
    .option('--stack', 'show where in the code an error comes from')
    .addHelpText('after', ENDINGS)
    .configureHelp({ styleTitle: (text) => styled(process.stdout, 'bold', text) })
    .configureOutput({
      outputError: (text, write) => write(json ? mistakeAsJson(text) : styledError(text)),
    })
    .exitOverride();
  for (const one of await commandsFor(words)) {
    all.addCommand(one.copyInheritedSettings(all));
    if (!json) one.showHelpAfterError(`(\`tallow ${one.name()} --help\` tells how it is used)`);
  }
  return json ? all : all.showHelpAfterError('(`tallow --help` lists the commands)');
}

/** Says what went wrong. @returns how the process ends */
function told(error: unknown, { stack, json }: { readonly stack: boolean; readonly json: boolean }): number {
  // Help and mistakes in the words of a command were told already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.mistake;
  const isMistake = error instanceof Mistake;
  const message = shownMessage(error);
  if (json) {
    const kind = isMistake ? 'mistake' : 'failure';
    process.stderr.write(`${JSON.stringify({ error: { kind, code: codeOf(error), message } })}\n`);
  } else {
    process.stderr.write(`${styled(process.stderr, 'red', 'error:')} ${message}\n`);
  }
  if (stack && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return isMistake ? EXIT.mistake : EXIT.failure;
}

/**
 * Runs the program with these words behind its name, and ends the process.
 *
 * @param words - Words of the command line.
 */
export async function main(words: readonly string[]): Promise<void> {
  watchPipes();
  const json = words.includes('--json');
  const all = await program(words, json);
  try {
    await all.parseAsync(words, { from: 'user' });
    await end(Number(process.exitCode ?? EXIT.ok));
  } catch (error) {
    await end(told(error, { stack: all.opts<{ stack?: boolean }>().stack === true, json }));
  }
}
