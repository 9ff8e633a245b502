/**
 * `tallow inspect`: what a file holds.
 *
 * @module
 */
import { Option, type Command } from 'commander';
import { isList, isRecord } from '../bridge/found.js';
import { shownBytes, shownCount, table } from '../seeing/table.js';
import { command } from './command.js';
import { Mistake } from './mistake.js';
import { fileOf, type Found } from './modelFolder.js';
import { heading, METRICS, pairs, print, printJson } from './output.js';

const FORMATS = {
  safetensors: 'safetensors',
  npy: "NumPy's .npy",
  npz: "NumPy's .npz",
  'npy.gz': "arrays of NumPy in gzip, as Trax's weights are",
  'pkl.gz': 'a checkpoint of Trax',
} as const;

interface Options {
  readonly json?: boolean;
  readonly verify?: boolean;
  readonly sort: 'name' | 'bytes' | 'file';
}

const size = (shape: readonly number[]): number => shape.reduce((n, axis) => n * axis, 1);
const shownShape = (shape: readonly number[]): string => (shape.length === 0 ? 'scalar' : shape.join(' × '));

/** What is in a file, by what it holds beside tensors. */
function contentOf(format: keyof typeof FORMATS, step: number | null, notes: object | null, isLayer: boolean): string {
  if (format === 'pkl.gz') return step === null ? 'a layer' : 'a training run';
  if (notes !== null && 'loop' in notes) return 'a training loop';
  if (step !== null) return 'a trainer';
  return isLayer ? 'a layer' : 'tensors';
}

/** Notes in a line each; a loop's history by its last values. */
function shownNotes(notes: Readonly<Record<string, unknown>>): [string, string][] {
  return Object.entries(notes).flatMap(([name, value]): [string, string][] => {
    if (name !== 'loop' || !isRecord(value)) {
      const text = JSON.stringify(value);
      return [[`note ${name}`, text.length > 100 ? `${text.slice(0, 97)}…` : text]];
    }
    const history = isRecord(value['history']) ? value['history'] : {};
    return Object.entries(history).flatMap(([mode, metrics]) =>
      Object.entries(isRecord(metrics) ? metrics : {}).flatMap(([metric, entries]): [string, string][] => {
        const last: unknown = isList(entries) ? entries.at(-1) : undefined;
        if (!metric.startsWith(METRICS) || !isList(last)) return [];
        return [
          [`${mode} ${metric.slice(METRICS.length)}`, `${Number(last[1]).toPrecision(6)} at step ${String(last[0])}`],
        ];
      }),
    );
  });
}

/** What the folder of a model tells beside the weights. */
function folderFacts({ description }: Found): [string, string][] {
  const { name, task, model, encoder, generation, chatTemplate } = description;
  const text = JSON.stringify(model);
  const defaults = Object.entries(generation).map(([key, value]) => `${key} ${JSON.stringify(value)}`);
  return [
    ['model', `${name}: ${text.length > 100 ? `${text.slice(0, 97)}…` : text}`],
    ['task', task],
    ['encoder', encoder ?? 'none'],
    ...(defaults.length === 0 ? [] : [['generation', defaults.join(', ')] satisfies [string, string]]),
    ...(chatTemplate === null ? [] : [['chat template', 'yes'] satisfies [string, string]]),
  ];
}

async function run(path: string, { json, verify, sort }: Options): Promise<void> {
  const { file, folder } = await fileOf(path);
  const { native } = await import('../bridge/native.js');
  const { format, step, notes, signature, tensors } = await native.fileInfo(file);
  if (verify === true) {
    if (format !== 'safetensors')
      throw new Mistake(`--verify: only safetensors files have checksums; ${file} is ${FORMATS[format]}`);
    await native.verifyCheckpoint(file);
  }
  const parsed: unknown = notes === null ? null : JSON.parse(notes);
  const known = isRecord(parsed) ? parsed : null;
  const natural = new Intl.Collator('en', { numeric: true });
  if (sort === 'name') tensors.sort((a, b) => natural.compare(a.name, b.name));
  if (sort === 'bytes') tensors.sort((a, b) => b.bytes - a.bytes || natural.compare(a.name, b.name));
  const isLayer =
    signature !== null || (tensors.length > 0 && tensors.every(({ name }) => /^(?:weights|state)\//.test(name)));
  const content = contentOf(format, step, known, isLayer);
  const numbers = tensors.reduce((sum, { shape }) => sum + size(shape), 0);
  const bytes = tensors.reduce((sum, t) => sum + t.bytes, 0);
  if (json === true) {
    const verified = verify === true ? { verified: true } : {};
    const totals = { tensors: tensors.length, numbers, bytes };
    const described = folder === undefined ? {} : { model: folder.description };
    return printJson(
      { file, ...described, format, content, step, signature, notes: known, totals, ...verified, tensors },
      2,
    );
  }
  const inputs = signature?.map(({ shape, dtype }) => `${dtype}[${shape.join(',')}]`).join(', ');
  const facts: [string, string][] = [
    ['file', file],
    ...(folder === undefined ? [] : folderFacts(folder)),
    ['format', FORMATS[format]],
    ['holds', content],
    ...(step === null
      ? []
      : [[format === 'pkl.gz' ? 'step' : 'next step', shownCount(step)] satisfies [string, string]]),
    ...(inputs === undefined ? [] : [['inputs', inputs] satisfies [string, string]]),
    ...(known === null ? [] : shownNotes(known)),
    ...(verify === true ? [['checksums', 'all right'] satisfies [string, string]] : []),
  ];
  print(`${pairs(facts)}\n`);
  const rows = tensors.map(({ name, shape, dtype, bytes }) => [
    name,
    dtype,
    shownShape(shape),
    shownCount(size(shape)),
    shownBytes(bytes),
  ]);
  const [head, ...rest] = table(['name', 'dtype', 'shape', 'numbers', 'bytes'], rows, [
    `${shownCount(tensors.length)} tensors`,
    '',
    '',
    shownCount(numbers),
    shownBytes(bytes),
  ]).split('\n');
  print([heading(head!), ...rest].join('\n'));
}

/** Makes the command. */
export function inspect(): Command {
  return command('inspect', 'Tells what a file holds: names, shapes, types and bytes of its tensors.', [
    ['tallow inspect model.safetensors', 'a layer, a trainer or a loop'],
    ['tallow inspect runs/book', 'the folder of a model: what it is, and its weights'],
    ['tallow inspect model.pkl.gz', 'a checkpoint of Trax; nothing in it is executed'],
    ['tallow inspect arrays.npz --sort bytes', 'the largest first'],
    ['tallow inspect model.safetensors --json | jq .totals', 'for a program'],
  ])
    .argument('<file>', 'safetensors, .npy, .npz, .npy.gz, .pkl.gz, or the folder of a model')
    .addOption(new Option('--sort <by>', 'order of the tensors').choices(['name', 'bytes', 'file']).default('name'))
    .option('--verify', 'read all of it, and check its checksums')
    .action(run);
}
