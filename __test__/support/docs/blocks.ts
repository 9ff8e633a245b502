/** The fenced blocks of pages and of `@example`s, and the programs they make. */

/** A fenced block. */
export interface Block {
  /** The word after the fence: `ts`, `js`, `sh`, `text` … */
  readonly language: string;
  /** The words after that, which no reader sees: `own`, `file=train.ts`. */
  readonly words: readonly string[];
  /** Number of the first line of its code, from 1. */
  readonly line: number;
  readonly lines: readonly string[];
  /** Why it is not run, if the page says so above it. */
  readonly untested: string | undefined;
  /** Whether it follows the block before it at once, with nothing but blank lines between. */
  readonly follows: boolean;
}

/** What a block of code must print, as the block of text after it shows. */
export interface Printed {
  /** The first and the last line of the code. */
  readonly from: number;
  readonly after: number;
  readonly text: string;
}

/** A module made of blocks; every line stands where it stands on the page. */
export interface Program {
  /** The page, or the source that the example is in. */
  readonly page: string;
  /** Name of the module among those of the page. */
  readonly name: string;
  readonly text: string;
  readonly prints: readonly Printed[];
  /** A file is used by other programs or by a shell block; code within sentences and tables only has its types checked. */
  readonly role: 'program' | 'file' | 'inline';
}

/** A line of a shell block. */
export interface Command {
  readonly line: number;
  readonly text: string;
  /** What it must print, if the page shows that. */
  readonly prints: string | undefined;
}

/** What is to be tested of a page. */
export interface Page {
  readonly path: string;
  readonly programs: readonly Program[];
  readonly commands: readonly Command[];
  /** Files that the page takes to be there: their names, and what in this repository they are copies of. */
  readonly files: readonly (readonly [name: string, from: string])[];
  /** Blocks that are not run. */
  readonly untested: readonly { readonly line: number; readonly why: string }[];
}

/** A page says this once for all of its blocks, or a block says `own`. */
const EACH_ALONE = '<!-- each block is a program of its own -->';
/** Names a file that a reader of the page has. */
const HERE = /^<!-- (\S+) is a copy of (\S+) -->$/gm;
const IMPORT = `import * as tl from 'tallow';`;
const CODE = ['ts', 'js'];
/** `sh` is checked and partly run, `text` shows what is printed; the others are only shown. */
const LANGUAGES = [...CODE, 'sh', 'text', 'json', 'rust'];

class Mistake extends Error {
  constructor(path: string, line: number, message: string) {
    super(`${path}:${line}: ${message}`);
  }
}

/** The fenced blocks of a text of Markdown. */
export function blocksOf(path: string, text: string): Block[] {
  const lines = text.split('\n');
  const blocks: Block[] = [];
  let untested: string | undefined;
  let follows = false;
  for (let i = 0; i < lines.length; i++) {
    const [, fence, info] = /^\s*(`{3,})(.*)$/.exec(lines[i]!) ?? [];
    if (fence === undefined) {
      const why = /^\*Not tested: (.+)\*$/.exec(lines[i]!)?.[1];
      if (why !== undefined) untested = why;
      else if (lines[i]!.trim() !== '') untested = undefined;
      if (lines[i]!.trim() !== '') follows = false;
      const isCode = lines[i]!.startsWith('    ') && lines[i - 1]?.trim() === '' && !/^\s*(-|\d+\.) /.test(lines[i]!);
      if (isCode) throw new Mistake(path, i + 1, 'code is fenced, not set in');
      continue;
    }
    const end = lines.findIndex((line, j) => j > i && line.trim() === fence);
    if (end < 0) throw new Mistake(path, i + 1, 'the block has no end');
    const [language = '', ...words] = info!.trim().split(/\s+/);
    if (!LANGUAGES.includes(language)) {
      throw new Mistake(path, i + 1, `a block is one of ${LANGUAGES.join(', ')}, this is "${language}"`);
    }
    blocks.push({ language, words, line: i + 2, lines: lines.slice(i + 1, end), untested, follows });
    [untested, follows, i] = [undefined, true, end];
  }
  return blocks;
}

/** The lines of blocks where they stand, in a module. */
function aligned(blocks: readonly Block[]): string {
  const lines: string[] = [];
  for (const block of blocks) block.lines.forEach((line, i) => (lines[block.line - 1 + i] = line));
  // Pages begin with a heading, so the first line is free.
  if (!/from 'tallow'/.test(blocks.flatMap(({ lines }) => lines).join('\n'))) lines[0] = IMPORT;
  return Array.from(lines, (line) => line ?? '').join('\n');
}

/** What is to be tested of a page of Markdown. */
export function pageOf(path: string, text: string): Page {
  const blocks = blocksOf(path, text);
  const alone = text.includes(EACH_ALONE);
  const tested = blocks.filter(({ untested }) => untested === undefined);
  const isOfFile = ({ words }: Block): boolean => words.some((word) => word.startsWith('file='));
  const code = tested.filter(
    (block) => CODE.includes(block.language) || (block.language === 'json' && isOfFile(block)),
  );
  const textAfter = (block: Block): string | undefined => {
    const next = tested[tested.indexOf(block) + 1];
    return next?.language === 'text' && next.follows ? next.lines.join('\n') : undefined;
  };
  const program = (name: string, of: readonly Block[], isFile = false): Program => {
    const prints = of.flatMap((block) => {
      const shown = textAfter(block);
      return shown === undefined ? [] : [{ from: block.line, after: block.line + block.lines.length - 1, text: shown }];
    });
    return {
      page: path,
      name,
      text: isFile ? textOf(of[0]!) : aligned(of),
      prints: isFile ? [] : prints,
      role: isFile ? 'file' : 'program',
    };
  };
  const programs: Program[] = [];
  const shared: Block[] = [];
  for (const block of code) {
    const file = block.words.find((word) => word.startsWith('file='))?.slice('file='.length);
    const odd = block.words.find((word) => word !== 'own' && !word.startsWith('file='));
    if (odd !== undefined) throw new Mistake(path, block.line - 1, `a block may be "own" or "file=…", not "${odd}"`);
    if (file !== undefined) programs.push(program(file, [block], true));
    else if (alone || block.words.includes('own')) programs.push(program(`line${block.line}.ts`, [block]));
    else shared.push(block);
  }
  if (shared.length > 0) programs.push(program('page.ts', shared));
  const inline = inlineOf(text);
  if (inline !== undefined) programs.push({ page: path, name: 'inline.ts', text: inline, prints: [], role: 'inline' });
  const commands = tested
    .filter(({ language }) => language === 'sh')
    .flatMap((block) =>
      block.lines.flatMap((line, i): Command[] => {
        const command = line.replace(/(^|\s+)#.*$/, '');
        const last = i === block.lines.length - 1;
        return command === ''
          ? []
          : [{ line: block.line + i, text: command, prints: last ? textAfter(block) : undefined }];
      }),
    );
  const untested = blocks.flatMap(({ line, untested }) => (untested === undefined ? [] : [{ line, why: untested }]));
  const files = [...text.matchAll(HERE)].map(([, name, from]) => [name!, from!] as const);
  return { path, programs, commands, files, untested };
}

/** What stands for itself in code within sentences. */
const KNOWN = 'declare const x: tl.Tensor, layer: tl.Layer, model: tl.Layer, trainer: tl.Trainer;';

/** The code within sentences and tables that is of this package, each expression on the line it has on the page. */
function inlineOf(text: string): string | undefined {
  let fenced = false;
  const lines = text.split('\n').map((line, i) => {
    if (/^\s*```/.test(line)) fenced = !fenced;
    if (i === 0) return `${IMPORT} ${KNOWN}`;
    // Tables of what things are called elsewhere have the other name first.
    const cells = /^\|/.test(line) && text.startsWith('# Coming from') ? line.split('|').slice(2).join('|') : line;
    const spans = fenced ? [] : [...cells.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
    const ours = spans.filter(
      (code) => /^(new tl|tl|x|layer|model|trainer)\.\w+/.test(code) && !/…|\.(gz|ts)$/.test(code),
    );
    return ours.map((code) => `void (() => [${code}]);`).join(' ');
  });
  return lines.slice(1).every((line) => line === '') ? undefined : lines.join('\n');
}

/** The text of a block that is a file, at the lines it has on the page. */
function textOf(block: Block): string {
  return '\n'.repeat(block.line - 1) + block.lines.join('\n');
}

/** The programs of the `@example`s in the comments of a source, each by itself. */
export function examplesOf(path: string, source: string): Program[] {
  const lines = source.split('\n');
  const programs: Program[] = [];
  lines.forEach((line, i) => {
    if (!/^\s*(\/\*\*|\*) @example\b/.test(line)) return;
    const after = lines.slice(i + 1).findIndex((l) => /^\s*(\*\/|\* @\w)/.test(l));
    const end = after < 0 ? lines.length : i + 1 + after;
    // The frame of the comment becomes blanks, so that every character stays where it is.
    const inside = lines.slice(i + 1, end).map((l) => l.replace(/^\s*\* ?/, (frame) => ' '.repeat(frame.length)));
    const blocks = blocksOf(
      path,
      inside.map((l) => (l.trim().startsWith('```') ? l.trim() : l.trim() === '' ? '' : `\u200b${l}`)).join('\n'),
    );
    const code = blocks.filter(({ language }) => CODE.includes(language));
    if (code.length === 0) throw new Mistake(path, i + 1, 'an @example has a block of ts');
    const placed = code.map((block) => ({
      ...block,
      line: block.line + i + 1,
      lines: block.lines.map((l) => l.replace('\u200b', '')),
    }));
    programs.push({ page: path, name: `line${i + 1}.ts`, text: aligned(placed), prints: [], role: 'program' });
  });
  return programs;
}
