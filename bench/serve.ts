/**
 * What the server costs: `npx tsx bench/serve.ts [pairs] [threads]` prints the tables of docs/benchmarks.md.
 *
 * A small language model (4 layers of 256) writes 128 tokens for each of 1, 8 and 64 streams: through the server, and by a bare `Decoder` in the same
 * process, in turns. Both take the same requests. A ratio is the median of the pairs. The client is a process of its own on the same processors, so the
 * share of the time has its work in it; that of the processors is of the server's process alone. With fewer threads than there are processors, what
 * client and server do besides computing has one to itself.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import * as tl from 'tallow';
import { createServer } from 'tallow/serve';
import { median } from './measure.js';

const [TOKENS, STREAMS] = [128, [1, 8, 64]] as const;
const PAIRS = Number(process.argv[2] ?? 5);
/** Threads that compute. */
const THREADS = process.argv[3] === undefined ? tl.numThreads() : Number(process.argv[3]);
const PROMPT = 'Call me Ishmael.';

const encoder = tl.data.byteEncoder();

/** What the server's process is asked for: to write for so many without a server; 0 for nothing. */
interface Ask {
  readonly streams: number;
}
/** What it answers: tokens a second, and the seconds of processors that it took since it was asked before. */
interface Told {
  readonly speed: number;
  readonly cpu: number;
}

/** Serves, and writes without a server when it is asked to. */
async function serve(tell: (message: object) => void): Promise<void> {
  tl.setNumThreads(THREADS);
  const model = tl.models.TransformerLM(256, { dModel: 256, dFf: 1024, nLayers: 4, nHeads: 4, maxLen: 256 });
  model.init({ shape: [1, 1], dtype: 'int32' }, { rng: tl.random.key(0) });
  const server = await createServer({ models: [{ name: 'lm', model, encoder }] });
  const url = await server.listen({ port: 0 });
  await server.ready();
  const decoder = new tl.decoding.Decoder(model);
  const bare = async (streams: number): Promise<number> => {
    const begun = performance.now();
    const all = Array.from({ length: streams }, (_, i) =>
      decoder.sample(PROMPT, { encoder, maxTokens: TOKENS, rng: tl.random.key(i) }),
    );
    await Promise.all(all);
    return (1000 * streams * TOKENS) / (performance.now() - begun);
  };
  let last = process.cpuUsage();
  process.on('message', ({ streams }: Ask) => {
    void bare(streams).then((speed) => {
      const { user, system } = process.cpuUsage(last);
      last = process.cpuUsage();
      tell({ speed, cpu: (user + system) / 1e6 } satisfies Told);
    });
  });
  process.once('disconnect', () => process.exit());
  tell({ url });
}

/** What the last chunk of an answer ends with. */
const END = '0\r\n\r\n';

/** Reads a stream to its end, by as little work as may be: only its ends are looked at. @returns milliseconds to the first token */
function read(socket: Socket, seed: number): Promise<number> {
  const body = JSON.stringify({ model: 'lm', prompt: PROMPT, max_tokens: TOKENS, seed, stream: true });
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    let first: number | undefined;
    let tail = '';
    const hear = (bytes: Buffer): void => {
      first ??= performance.now() - begun;
      tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - END.length))).slice(-END.length);
      if (tail !== END) return;
      socket.off('data', hear);
      socket.off('error', reject);
      resolve(first);
    };
    socket.on('data', hear);
    socket.once('error', reject);
    const head = ['POST /v1/completions HTTP/1.1', 'host: a', 'content-type: application/json'];
    socket.write([...head, `content-length: ${Buffer.byteLength(body)}`, '', body].join('\r\n'));
  });
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))]!;

async function main(): Promise<void> {
  const child = fork(__filename, process.argv.slice(2), { execArgv: process.execArgv });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  const ask = async (streams: number): Promise<Told> => {
    child.send({ streams } satisfies Ask);
    const [told] = (await once(child, 'message')) as [Told];
    return told;
  };
  const { port, hostname } = new URL(url);
  const sockets = Array.from({ length: Math.max(...STREAMS) }, () => connect(Number(port), hostname).setNoDelay());
  console.log(`${THREADS} ${THREADS === 1 ? 'thread' : 'threads'}\n`);
  console.log(
    '| streams | requests/s | first token, p50 | p99 | tokens/s | bare tokens/s | of the time | of the processors |',
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const streams of STREAMS) {
    const [bare, served, firsts, cpu]: [number[], number[], number[], number[]] = [[], [], [], []];
    for (let pair = 0; pair <= PAIRS; pair += 1) {
      await ask(0);
      const without = await ask(streams);
      const begun = performance.now();
      const times = await Promise.all(sockets.slice(0, streams).map(read));
      const seconds = (performance.now() - begun) / 1000;
      const within = await ask(0);
      // The first pair warms up.
      if (pair === 0) continue;
      bare.push(without.speed);
      cpu.push(within.cpu / without.cpu - 1);
      served.push((streams * TOKENS) / seconds);
      firsts.push(...times);
    }
    const share = median(served.map((speed, i) => bare[i]! / speed - 1));
    const tokens = median(served);
    const cells = [
      streams,
      (tokens / TOKENS).toFixed(1),
      `${quantile(firsts, 0.5).toFixed(1)} ms`,
      `${quantile(firsts, 0.99).toFixed(1)} ms`,
      tokens.toFixed(0),
      median(bare).toFixed(0),
      `${(100 * share).toFixed(1)} %`,
      `${(100 * median(cpu)).toFixed(1)} %`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
  child.disconnect();
  sockets.forEach((socket) => socket.destroy());
}

void (process.send === undefined ? main() : serve((message) => void process.send?.(message)));
