/**
 * What the server costs: `npx tsx bench/serve.ts [pairs]`, of the package as built.
 *
 * A small language model (4 layers of 256) writes 128 tokens for each of 1, 8 and 64 streams: through the server, and by a bare `Decoder` in the same
 * process, in turns. Both take the same requests. A ratio is the median of the pairs; the client is a process of its own, on the same processors.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import * as tl from 'tallow';
import { createServer } from 'tallow/serve';
import { median } from './measure.js';

const TOKENS = 128; const STREAMS: number[] = JSON.parse(process.env.STREAMS ?? '[1,8,64]');
const mainCpu = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
const PAIRS = Number(process.argv[2] ?? 5);
const PROMPT = 'Call me Ishmael.';

const encoder = tl.data.byteEncoder();

/** What the server's process is asked for: to write for so many without a server; 0 for nothing. */
interface Ask {
  readonly streams: number;
}
/** What it answers: tokens a second, and the seconds of processors that it took since it was asked before. */
interface Told {
  readonly speed: number;
  readonly cpu: number; readonly main: number;
}

/** Serves, and writes without a server when it is asked to. */
async function serve(tell: (message: object) => void): Promise<void> {
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
  let last = process.cpuUsage(); let lastMain = mainCpu();
  process.on('message', ({ streams }: Ask) => {
    void bare(streams).then((speed) => {
      const { user, system } = process.cpuUsage(last);
      last = process.cpuUsage(); const main = mainCpu() - lastMain; lastMain = mainCpu();
      tell({ speed, main, cpu: (user + system) / 1e6 } satisfies Told);
    });
  });
  process.once('disconnect', () => process.exit());
  tell({ url });
}

/** Reads a stream to its end. @returns milliseconds to the first token */
function read(url: string, agent: Agent, seed: number): Promise<number> {
  const body = JSON.stringify({ model: 'lm', prompt: PROMPT, max_tokens: TOKENS, seed, stream: true });
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    let first: number | undefined;
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const asked = request(`${url}/v1/completions`, { method: 'POST', agent, headers }, (response) => {
      response.on('data', () => (first ??= performance.now() - begun));
      response.on('end', () => resolve(first ?? Number.NaN));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))]!;

async function main(): Promise<void> {
  const child = fork(__filename, { execArgv: process.execArgv });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  const ask = async (streams: number): Promise<Told> => {
    child.send({ streams } satisfies Ask);
    const [told] = (await once(child, 'message')) as [Told];
    return told;
  };
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  for (const streams of STREAMS) { const rows: number[][] = [];
    const [bare, served, firsts, cpu]: [number[], number[], number[], number[]] = [[], [], [], []];
    for (let pair = 0; pair <= PAIRS; pair += 1) {
      await ask(0);
      const without = await ask(streams);
      const begun = performance.now();
      const times = await Promise.all(Array.from({ length: streams }, (_, i) => read(url, agent, i)));
      const seconds = (performance.now() - begun) / 1000;
      const within = await ask(0);
      // The first pair warms up.
      if (pair === 0) continue;
      bare.push(without.speed);
      cpu.push(within.cpu / without.cpu - 1); rows.push([without.cpu, without.main, within.cpu, within.main].map((x) => (x * 1e6) / streams / TOKENS));
      served.push((streams * TOKENS) / seconds);
      firsts.push(...times);
    }
    const share = median(served.map((speed, i) => bare[i]! / speed - 1));
    const tokens = median(served);
    console.log('us/token: bare cpu, bare main, served cpu, served main', [0,1,2,3].map((i) => median(rows.map((r) => r[i]!)).toFixed(1)), 'least', [0,1,2,3].map((i) => Math.min(...rows.map((r) => r[i]!)).toFixed(1)));
    console.log(
      [
        `${String(streams).padStart(2)} streams`,
        `${(tokens / TOKENS).toFixed(1)} requests/s`,
        `${tokens.toFixed(0)} tokens/s`,
        `bare ${median(bare).toFixed(0)}`,
        `first token p50 ${quantile(firsts, 0.5).toFixed(1)} ms, p99 ${quantile(firsts, 0.99).toFixed(1)} ms`,
        `server ${(100 * share).toFixed(1)} % of time, ${(100 * median(cpu)).toFixed(1)} % of processors`,
      ].join(' · '),
    );
  }
  child.disconnect();
  agent.destroy();
}

void (process.send === undefined ? main() : serve((message) => void process.send?.(message)));
