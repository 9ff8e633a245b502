/** The way to a server, for the page in a browser: a model that is trained, and writes. */

/** @typedef {import('./protocol.js').Command} Command */
/** @typedef {import('./protocol.js').LabEvent} LabEvent */

/** The most tokens of an answer. */
const ANSWER = 400;

/** @type {(event: LabEvent) => void} */
let tell = () => {};
/** @type {string} */
let model = '';
/** @type {Map<number, AbortController>} */
const writing = new Map();

/**
 * What a server answers in JSON.
 *
 * @param {string} path
 */
async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return response.json();
}

/** Says what the server has: its model, and the curve of its training. */
async function greet() {
  const [{ data }, history] = await Promise.all([get('/v1/models'), get('/history.json')]);
  model = data[0].id;
  const losses = history.train['metrics/loss'];
  const step = losses.at(-1)[0];
  tell({ type: 'ready', canTrain: false, training: false, step, steps: step, losses });
}

/**
 * The data of server-sent events.
 *
 * @param {ReadableStream<Uint8Array>} body
 */
async function* eventsOf(body) {
  const reader = body
    .pipeThrough(/** @type {ReadableWritablePair<string, Uint8Array>} */ (new TextDecoderStream()))
    .getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const lines = block.split(/\r?\n/).filter((line) => line.startsWith('data:'));
      if (lines.length > 0) yield lines.map((line) => line.slice(5).trimStart()).join('\n');
    }
  }
}

/** @param {Extract<Command, { type: 'write' }>} command */
async function write({ id, prompt, temperature, seed }) {
  const stop = new AbortController();
  writing.set(id, stop);
  try {
    const response = await fetch('/v1/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt, temperature, seed, max_tokens: ANSWER, stream: true }),
      signal: stop.signal,
    });
    if (!response.ok || response.body === null) {
      const { error } = await response.json();
      throw new Error(error.message);
    }
    for await (const data of eventsOf(response.body)) {
      if (data === '[DONE]') break;
      const { choices, error } = JSON.parse(data);
      if (error !== undefined) throw new Error(error.message);
      for (const { text } of choices) tell({ type: 'text', id, text });
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    writing.delete(id);
    tell({ type: 'written', id });
  }
}

/** @param {unknown} error */
function failed(error) {
  tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
}

/** @type {import('./protocol.js').Lab} */
export const lab = {
  onEvent(heard) {
    tell = heard;
    greet().catch(failed);
  },
  send(command) {
    if (command.type === 'write') write(command).catch(failed);
    if (command.type === 'stop') writing.get(command.id)?.abort();
  },
};
