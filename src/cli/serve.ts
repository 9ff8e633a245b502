/**
 * `tallow serve`: answers requests with models of folders.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from 'commander';
import { type Server, type ServerLimits, type ServerOptions } from '../serve/index.js';
import { command, count } from './command.js';
import { EXIT, Mistake, shownMessage } from './mistake.js';
import { checkModelFolder, fileOf, folderMistake } from './modelFolder.js';
import { print, printJson, styled } from './output.js';

interface Options {
  readonly json?: boolean;
  readonly port: number;
  readonly host: string;
  readonly cors?: string[];
  readonly metrics: boolean;
  readonly batch?: number;
  readonly queue?: number;
  readonly maxTokens?: number;
  readonly timeout?: number;
  readonly drain?: number;
}

const CODES = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;
/** Where a key is looked for: the command line of a process is seen by all. */
const KEY = 'TALLOW_API_KEY';
const LAST_PORT = 65_535;

/** Reads a port. */
function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > LAST_PORT)
    throw new InvalidArgumentError(`It must be a whole number from 0 to ${LAST_PORT}.`);
  return value;
}

/** Seconds in milliseconds. */
const ms = (seconds: number | undefined): number | undefined => (seconds === undefined ? undefined : seconds * 1000);

/** The limits that were given. */
function limitsOf({ batch, queue, maxTokens, timeout, drain }: Options): ServerLimits {
  return { batch, queue, maxTokens, requestMs: ms(timeout), drainMs: ms(drain) };
}

/** Lets the first signal finish what is under way, and the second one end at once. @returns how the process ends */
function whenStopped(server: Server, tell: (event: string) => void): Promise<number> {
  return new Promise((resolve) => {
    let isStopping = false;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (isStopping) process.exit(CODES[signal]);
        isStopping = true;
        tell('closing');
        void server.close().then(() => resolve(CODES[signal]));
      });
    }
  });
}

async function run(folders: readonly string[], options: Options): Promise<void> {
  const { json, host, cors, metrics } = options;
  // Before anyone hears of an address: all that can be seen without loading a model.
  for (const folder of folders) checkModelFolder(folder);
  await Promise.all(folders.map(fileOf));
  const [{ createServer, ServeError }, { openFolder }] = await Promise.all([
    import('../serve/index.js'),
    import('../models/index.js'),
  ]);
  const key = process.env[KEY];
  const given: ServerOptions = {
    models: folders.map((folder) => () => openFolder(folder)),
    apiKey: key === undefined || key === '' ? undefined : key,
    cors,
    metrics,
    limits: limitsOf(options),
    onError: (error) => process.stderr.write(`${styled(process.stderr, 'red', 'error:')} ${shownMessage(error)}\n`),
  };
  // What is wrong with the server is for the one who started it to mend.
  const mistake = (error: unknown): never => {
    throw error instanceof ServeError ? new Mistake(shownMessage(error), { cause: error }) : error;
  };
  const server = await createServer(given).catch(mistake);
  const url = await server.listen({ port: options.port, host }).catch(mistake);
  const tell = (event: string, more: object, text: string): void =>
    json === true ? printJson({ event, ...more }) : print(text);
  const stopped = whenStopped(server, (event) => tell(event, {}, 'closing; what is under way is finished'));
  tell('listening', { url }, `listening on ${url}; loading ${folders.join(', ')}`);
  try {
    await server.ready();
  } catch (error) {
    await server.close();
    throw error instanceof ServeError ? new Mistake(shownMessage(error), { cause: error }) : folderMistake(error);
  }
  tell('ready', {}, `ready: ${url}/v1/models lists the models`);
  process.exitCode = await stopped;
}

/** Makes the command. */
export function serve(): Command {
  return command('serve', 'Answers requests by HTTP with models of folders, as OpenAI’s interface has it.', [
    ['tallow serve runs/book', 'on port 8000 of this machine'],
    ['tallow serve a b --host 0.0.0.0 --port 80', 'two models, for other machines'],
    [`${KEY}=secret tallow serve runs/book`, 'for those who send the key'],
  ])
    .argument('<folders...>', 'folders of models, as `tallow train` leaves them')
    .option('--port <n>', 'the port; 0 for any that is free', port, 8000)
    .option('--host <name>', 'the name or address to listen on', '127.0.0.1')
    .option('--cors <origins...>', 'origins whose pages may call it')
    .option('--no-metrics', 'leave out /metrics')
    .option('--batch <n>', 'the most outputs of a model at once', count)
    .option('--queue <n>', 'the most requests that wait', count)
    .option('--max-tokens <n>', 'the most tokens of an output', count)
    .option('--timeout <seconds>', 'how long a request may take', count)
    .option('--drain <seconds>', 'how long requests under way may take when it ends', count)
    .action(run);
}
