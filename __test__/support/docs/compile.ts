/** Checks the types of programs, and compiles them so that what they show is compared when they run. */
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { root } from '../process.js';
import { type Printed, type Program } from './blocks.js';

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: ['node'],
  strict: true,
  noImplicitOverride: true,
  skipLibCheck: true,
  allowJs: true,
  inlineSourceMap: true,
};

/** Errors of code within sentences, which uses names that no one made, and functions without types. */
const UNKNOWN = [2304, 2552, 7006, 7031, 18004];

/** Programs that were compiled. */
export interface Compiled {
  /** Where the pages' folders are. */
  readonly folder: string;
  /** The compiler's errors by page, each as `page:line: message`. */
  readonly errors: ReadonlyMap<string, readonly string[]>;
}

/** The folder of a page. */
export const folderOf = (folder: string, page: string): string => join(folder, page.replaceAll(/[^\w-]/g, '_'));

/** The file that runs. */
export const moduleOf = (name: string): string => name.replace(/\.ts$/, '.js');

/** The file that a program is written in: of examples in sources, the folder that the module has is its name. */
const sourceOf = ({ page, name }: Program): string => (name.includes('/') ? dirname(name) : page);

/** Writes programs below a new folder in which the package is installed, checks and compiles them. */
export function compile(programs: readonly Program[]): Compiled {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-docs-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules', 'tallow'));
  symlinkSync(join(root, 'node_modules', '@types'), join(folder, 'node_modules', '@types'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const byFile = new Map<string, Program>();
  for (const program of programs) {
    const file = join(folderOf(folder, program.page), program.name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, program.text);
    byFile.set(file, program);
  }
  const sources = [...byFile.keys()].filter((file) => file.endsWith('.ts'));
  const host = ts.createCompilerHost(OPTIONS);
  const compiler = ts.createProgram(sources, { ...OPTIONS, typeRoots: [join(root, 'node_modules', '@types')] }, host);
  const errors = new Map<string, string[]>();
  const fail = (page: string, text: string): void => void errors.set(page, [...(errors.get(page) ?? []), text]);
  for (const { file, start, messageText, code } of ts.getPreEmitDiagnostics(compiler)) {
    const program = file === undefined ? undefined : byFile.get(file.fileName);
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    if (program === undefined) throw new Error(`${file?.fileName ?? 'tsc'}: ${text}`);
    if (program.role === 'inline' && UNKNOWN.includes(code)) continue;
    const line = file!.getLineAndCharacterOfPosition(start!).line + 1;
    fail(program.page, `${sourceOf(program)}:${line}: ${text}`);
  }
  const before = (context: ts.TransformationContext) => (source: ts.SourceFile) => {
    const program = byFile.get(source.fileName);
    if (program?.role !== 'program') return source;
    return instrument(context, source, program, (line, text) =>
      fail(program.page, `${sourceOf(program)}:${line}: ${text}`),
    );
  };
  const isOurs = (path: string): boolean => path.startsWith(folder);
  compiler.emit(undefined, (path, text) => isOurs(path) && writeFileSync(path, text), undefined, undefined, {
    before: [before],
  });
  return { folder, errors };
}

/** What a comment after a statement shows. */
interface Shown {
  readonly text: string;
  /** Whether the statement must throw it. */
  readonly throws: boolean;
}

/** What the comment after a statement says it gives: `// → text`, or `// throws Error: text`; lines set in go on. */
function shownAfter(text: string, end: number): Shown | undefined {
  const [first, second, ...rest] = text.slice(end).split('\n');
  const at = [first!, second ?? ''].findIndex((line) => /^[\s;]*\/\/ (→|throws) /.test(line));
  if (at < 0 || (at === 1 && first!.trim() !== '')) return undefined;
  const lines = at === 0 ? [first!, second ?? '', ...rest] : [second!, ...rest];
  const [, mark, begin] = /\/\/ (→|throws) (.*)$/.exec(lines[0]!)!;
  const more = lines.slice(1);
  const stop = more.findIndex((line) => !/^\s*\/\/ {3,}\S/.test(line));
  const further = more.slice(0, stop < 0 ? undefined : stop).map((line) => line.replace(/^\s*\/\/ /, ''));
  return { text: [begin!, ...further].join('\n'), throws: mark === 'throws' };
}

function namesOf(name: ts.BindingName): ts.Identifier[] {
  if (ts.isIdentifier(name)) return [name];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : namesOf(element.name)));
}

const isLog = (x: ts.Expression): boolean => ts.isCallExpression(x) && x.expression.getText() === 'console.log';

/** Puts a comparison behind each statement that shows what it gives, and behind each block that shows what it prints. */
function instrument(
  context: ts.TransformationContext,
  source: ts.SourceFile,
  program: Program,
  fail: (line: number, text: string) => void,
): ts.SourceFile {
  const { factory } = context;
  const lineOf = (at: number): number => source.getLineAndCharacterOfPosition(at).line + 1;
  const call = (method: string, line: number, text: string, ...values: ts.Expression[]): ts.Expression =>
    factory.createCallExpression(
      factory.createPropertyAccessExpression(factory.createIdentifier('__docs'), method),
      undefined,
      [factory.createNumericLiteral(line), factory.createStringLiteral(text), ...values],
    );
  let seen = 0;

  const compared = (statement: ts.Statement, topLevel: boolean): ts.Statement[] | undefined => {
    const shown = shownAfter(source.text, statement.end);
    if (shown === undefined) return undefined;
    const line = lineOf(statement.end);
    if (shown.throws) {
      if (!topLevel || !ts.isExpressionStatement(statement)) return undefined;
      const body = factory.createArrowFunction(
        [factory.createModifier(ts.SyntaxKind.AsyncKeyword)],
        undefined,
        [],
        undefined,
        undefined,
        factory.createParenthesizedExpression(statement.expression),
      );
      return [factory.createExpressionStatement(factory.createAwaitExpression(call('throws', line, shown.text, body)))];
    }
    if (ts.isVariableStatement(statement)) {
      const names = statement.declarationList.declarations.flatMap(({ name }) => namesOf(name));
      return [statement, factory.createExpressionStatement(call('value', line, shown.text, ...names))];
    }
    if (!ts.isExpressionStatement(statement)) return undefined;
    if (isLog(statement.expression))
      return [statement, factory.createExpressionStatement(call('logged', line, shown.text))];
    return [factory.createExpressionStatement(call('value', line, shown.text, statement.expression))];
  };

  const visit = (node: ts.Node): ts.VisitResult<ts.Node> => {
    if (ts.isStatement(node)) {
      const made = compared(node, node.parent === source);
      if (made !== undefined) {
        seen += 1;
        return made.length === 1 ? made[0]! : made;
      }
    }
    return ts.visitEachChild(node, visit, context);
  };

  const statements: ts.Statement[] = [];
  const prints: Printed[] = [...program.prints];
  const begins = prints.map(({ from }) => from);
  source.statements.forEach((statement, i) => {
    while (begins[0] !== undefined && begins[0] <= lineOf(statement.getStart())) {
      statements.push(factory.createExpressionStatement(call('begins', begins.shift()!, '')));
    }
    const made = visit(statement) as ts.Statement | ts.Statement[];
    statements.push(...(Array.isArray(made) ? made : [made]));
    const next = source.statements[i + 1];
    const nextLine = next === undefined ? Infinity : lineOf(next.getStart());
    while (prints[0] !== undefined && prints[0].after < nextLine) {
      const { after, text } = prints.shift()!;
      statements.push(factory.createExpressionStatement(call('printed', after, text)));
    }
  });
  const comments = [...source.text.matchAll(/\/\/ (?:→|throws) /g)];
  if (comments.length !== seen) {
    const line = comments.length > 0 ? lineOf(comments[0]!.index) : 1;
    fail(line, `${comments.length} comments show a result, ${seen} of them belong to a statement that can be compared`);
  }
  return factory.updateSourceFile(source, statements);
}
