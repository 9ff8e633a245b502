/** Starts servers, and asks them. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type ExecutionContext, type TestFn } from 'ava';
import { createServer, type ServerOptions } from '../../../src/serve/index.js';

/** What a server answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** What tests look at in an answer. */
export interface AnswerBody {
  readonly choices: readonly {
    readonly index: number;
    readonly text: string;
    readonly finish_reason: string | null;
    readonly logprobs?: { readonly token_logprobs: readonly number[]; readonly text_offset: readonly number[] } | null;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number };
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
  readonly outputs: number[][];
}

export const bodyOf = ({ text }: Answer): AnswerBody => JSON.parse(text) as AnswerBody;

/** What the events of a stream hold, but for the word at the end. */
export const eventsOf = ({ text }: Pick<Answer, 'text'>): AnswerBody[] =>
  text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice(6)) as AnswerBody);

/** Sends a body, as JSON unless it is text. */
export async function post(url: string, body: unknown, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** A number of `/metrics`. */
export async function metric(url: string, line: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const found = text.split('\n').find((one) => one.startsWith(`${line} `));
  if (found === undefined) throw new Error(`no ${line} in\n${text}`);
  return Number(found.slice(line.length + 1));
}

/** Waits until something holds; a test that waits in vain is ended by its own time. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Has a server for all tests of a file, which hears of its address before the first one. */
export function withServer(test: TestFn, options: () => ServerOptions, hear: (url: string) => void): void {
  const closing: (() => Promise<void>)[] = [];
  test.before(async () => {
    const server = await createServer(options());
    closing.push(() => server.close());
    hear(await server.listen({ port: 0 }));
    await server.ready();
  });
  test.after.always(() => Promise.all(closing.map((close) => close())));
}

/** A server in a process. */
export interface Running {
  readonly url: string;
  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void;
  /** How the process ended. */
  readonly ended: Promise<number | null>;
}

/** Starts a server of the models of tests in a process of its own, which ends with the test. */
export async function start(t: ExecutionContext, options: Partial<ServerOptions> = {}): Promise<Running> {
  const child = fork(join(__dirname, 'process.ts'), {
    execArgv: ['--import=tsx', '--expose-gc'],
    env: { ...process.env, SERVER_OPTIONS: JSON.stringify(options) },
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const [{ url }] = (await Promise.race([
    once(child, 'message'),
    ended.then((code) => Promise.reject(new Error(`the server ended with ${code}`))),
  ])) as [{ url: string }];
  return { url, kill: (signal) => void child.kill(signal), ended };
}
