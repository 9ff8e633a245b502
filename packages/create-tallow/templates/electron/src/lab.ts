/** What the training process does: it trains, writes and saves as it is told, and says what happens. It knows nothing of Electron. */
import { join } from 'node:path';
import * as tl from 'tallow';
import type { Command, LabEvent } from '../page/protocol.js';
import { generation, makeModel, saveModel, trainTask } from './model.js';
import { readText } from './text.js';

/** Milliseconds between two points of the curve at least. */
const EVERY_MS = 100;
/** The most characters of an answer. */
const ANSWER = 400;

/** One run of training, in a folder that it goes on from. */
export class Lab {
  readonly #folder: string;
  readonly #encoder: tl.data.Encoder;
  readonly #loop: tl.training.Loop;
  readonly #steps: number;
  readonly #tell: (event: LabEvent) => void;
  /** What ends each answer that is being written. */
  readonly #writing = new Map<number, AbortController>();
  #running: Promise<void> | null = null;

  private constructor(folder: string, text: string, steps: number, tell: (event: LabEvent) => void) {
    const { encoder, train } = readText(text);
    this.#folder = folder;
    this.#encoder = encoder;
    this.#steps = steps;
    this.#tell = tell;
    this.#loop = new tl.training.Loop(makeModel(encoder.vocabSize), trainTask(train), {
      outputDir: join(folder, 'run'),
      randomSeed: 0,
      callbacks: [
        {
          everyMs: EVERY_MS,
          onStep: (_, { step, loss, done, seconds }) => tell({ type: 'step', step, loss, perSecond: done / seconds }),
        },
      ],
    });
  }

  /** Opens a folder: where it has a checkpoint, the run goes on from there. */
  static async open(folder: string, text: string, tell: (event: LabEvent) => void, steps: number): Promise<Lab> {
    const lab = new Lab(folder, text, steps, tell);
    await lab.#loop.prepare();
    return lab;
  }

  /** Says where the run stands, to a page that has just come. */
  greet(): void {
    const losses = this.#loop.history.get('train', 'metrics/loss').map(({ step, value }) => [step, value] as const);
    const training = this.#running !== null;
    this.#tell({ type: 'ready', canTrain: true, step: this.#loop.step, steps: this.#steps, losses, training });
  }

  /** Does what the page asks for; what goes wrong is told, and the process goes on. */
  handle(command: Command): void {
    const failed = (error: unknown): void =>
      this.#tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
    this.#do(command).catch(failed);
  }

  async #do(command: Command): Promise<void> {
    switch (command.type) {
      case 'train':
        return this.#train();
      case 'pause':
        return this.#loop.stop();
      case 'write':
        return this.#write(command);
      case 'stop':
        return this.#writing.get(command.id)?.abort();
      case 'save':
        return this.#save();
    }
  }

  async #train(): Promise<void> {
    if (this.#running !== null) return;
    this.#running = this.#run().finally(() => (this.#running = null));
    await this.#running;
    this.#tell({ type: 'paused', step: this.#loop.step });
  }

  async #run(): Promise<void> {
    await this.#loop.run({ until: this.#steps });
    await this.#loop.saveCheckpoint();
  }

  /** Writes beside the training, with the weights as they are. */
  async #write({ id, prompt, temperature, seed }: Extract<Command, { type: 'write' }>): Promise<void> {
    const stop = new AbortController();
    this.#writing.set(id, stop);
    try {
      const tokens = tl.decoding.generate(this.#loop.model, prompt, {
        ...generation,
        encoder: this.#encoder,
        rng: tl.random.key(seed),
        temperature,
        maxTokens: ANSWER,
        signal: stop.signal,
      });
      for await (const { text } of tokens) if (text !== undefined) this.#tell({ type: 'text', id, text });
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    } finally {
      this.#writing.delete(id);
      this.#tell({ type: 'written', id });
    }
  }

  /** Saves the model for other programs: weights, how it is made, and its characters. */
  async #save(): Promise<void> {
    const path = join(this.#folder, 'model');
    await saveModel(path, this.#loop.model, this.#encoder);
    this.#tell({ type: 'saved', path });
  }
}
