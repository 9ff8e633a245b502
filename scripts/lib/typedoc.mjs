/** The reference in order: names by subject, layers by module, the guide beside them. A plugin of typedoc. */
import { Application, Comment, CommentTag, Converter, ReflectionKind } from 'typedoc';
import { undocumented } from './documented.mjs';

/** Subjects in their order, each with the sources that its names come from. */
const SUBJECTS = [
  ['Guide', []],
  ['Reference', []],
  ['Tables and lists', []],
  ['Modules', []],
  ['Tensors', ['tensor/tensor', 'tensor/ops', 'tensor/arguments', 'tensor/data', 'generated/tensor', 'bridge/native']],
  ['Gradients', ['tensor/gradients']],
  ['Random numbers', ['tensor/random']],
  ['Memory, threads and devices', ['tensor/memory', 'tensor/devices', 'bridge/version']],
  ['Errors', ['bridge/errors', 'generated/errorCode']],
  ['Layers: the class, calls and options', ['layer/', 'base', 'generated/base', 'generated/layer']],
  ['Layers: putting layers together', ['generated/combinators']],
  ['Layers: Dense, Embedding, Dropout and other basic ones', ['generated/core']],
  ['Layers: activation functions', ['generated/activationFns']],
  ['Layers: normalization', ['generated/normalization']],
  ['Layers: convolution and pooling', ['generated/convolution', 'generated/deconvolution', 'generated/pooling']],
  ['Layers: recurrent', ['generated/rnn']],
  ['Layers: attention', ['generated/attention']],
  ['Layers: attention to long sequences, LSH', ['generated/efficientAttention', 'layer/efficientAttention']],
  ['Layers: positions', ['generated/positionEncodings', 'generated/rotaryPositionalEmbedding']],
  ['Layers: relative attention and shorter sequences', ['generated/relAttention', 'generated/resampling']],
  [
    'Layers: reversible, in memory that does not grow with depth',
    ['generated/reversible', 'reversible', 'layer/reversible'],
  ],
  ['Layers: sparse, and linear attention', ['generated/sparsity']],
  ['Layers: losses and metrics', ['generated/metrics']],
  ['Layers: several devices', ['generated/acceleration', 'layer/jitForward']],
  ['Layers: checks of shapes', ['generated/assertShape']],
  ['First values of weights', ['generated/initializers']],
  ['Looking into models', ['seeing/']],
  ['Training', ['training/', 'generated/optimizers', 'generated/lrSchedules']],
  ['Decoding', ['decoding/']],
  ['Data', ['data/']],
  ['Serving', ['serve/']],
  ['Models', ['models/', 'generated/models', 'generated/reformerBlocks']],
  ['Trees of tensors', ['tensor/tree']],
  ['Files of tensors', ['tensor/safetensors', 'tensor/npy', 'tensor/npz', 'tensor/named', 'layer/files']],
  ['Checks for tests', ['testUtils']],
  ['Other names', ['index']],
  ['Options, by name', []],
];

const OPTIONS = 'Options, by name';
const OTHER = 'Other names';
/** Pages in the order in which they are read; the others are tables. */
const GUIDE = [
  'getting-started',
  'layers',
  'your-own-layer',
  'training',
  'seeing',
  'data',
  'fine-tuning',
  'saving',
  'decoding',
  'serving',
  'walkthrough',
  'command-line',
  'models',
  'long-sequences',
  'ranks',
  'workers',
  'electron',
  'errors',
  'from-trax',
  'from-keras',
  'from-pytorch',
  'glossary',
];

/** The subject with the longest beginning of the path below src, if there is one. */
function subjectOf(path) {
  const matches = SUBJECTS.flatMap(([title, begins]) =>
    begins.filter((begin) => path.startsWith(begin)).map((begin) => [title, begin.length]),
  );
  return matches.toSorted((a, b) => b[1] - a[1])[0]?.[0];
}

function categorize(reflection, title) {
  const holders = reflection.signatures ?? [reflection];
  for (const holder of holders) {
    holder.comment ??= new Comment();
    holder.comment.removeTags('@category');
    holder.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: title }]));
  }
}

/** Makes the title of a page its name, with its number in the guide, and files it. */
function place(page, path) {
  const inGuide = path.includes('/docs/guide/');
  // What stands before the heading are comments.
  const first = page.content.findIndex(({ text }) => /^# /m.test(text));
  page.content.splice(0, first);
  const heading = /^# (.*)\n+/m.exec(page.content[0].text);
  const number = GUIDE.findIndex((name) => path.endsWith(`/docs/guide/${name}.md`));
  if (inGuide && number < 0) throw new Error(`${path} has no place in the guide`);
  page.name = inGuide ? `${String(number + 1).padStart(2, '0')} ${heading[1]}` : heading[1];
  page.frontmatter.category = inGuide ? 'Guide' : 'Tables and lists';
  page.content[0].text = page.content[0].text.slice(heading.index + heading[0].length).replace(/^<!--.*-->\n+/gm, '');
}

export function load(app) {
  app.on(Application.EVENT_BOOTSTRAP_END, () => {
    app.options.setValue(
      'categoryOrder',
      SUBJECTS.map(([title]) => title),
    );
    app.options.setValue('defaultCategory', OTHER);
  });
  const files = new Map();
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    const symbol = context.getSymbolFromReflection(reflection);
    if (symbol !== undefined && reflection.parent?.kindOf([ReflectionKind.Module, ReflectionKind.Namespace])) {
      files.set(reflection.id, context.resolveAliasedSymbol(symbol).declarations[0].getSourceFile().fileName);
    }
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const page of project.documents ?? []) place(page, project.files.getReflectionPath(page) ?? '');
    for (const api of project.children) {
      api.name = api.name.startsWith('serve') ? 'tallow/serve' : 'tallow';
      categorize(api, 'Reference');
      for (const child of api.children) {
        if (child.kindOf(ReflectionKind.Namespace)) {
          categorize(child, 'Modules');
          continue;
        }
        const file = files.get(child.id) ?? files.get(child.getTargetReflection?.()?.id) ?? '';
        const isOptions = child.name.endsWith('Options') && child.kindOf(ReflectionKind.Interface);
        const title = isOptions ? OPTIONS : subjectOf(file.split('/src/').at(-1));
        if (title === undefined)
          app.logger.warn(`${child.name} has no subject: say in scripts/lib/typedoc.mjs where ${file} belongs`);
        else categorize(child, title);
      }
    }
  });
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const isWritten = (reflection) => {
      const path = project.getSymbolIdFromReflection(reflection)?.packagePath ?? '';
      return path.startsWith('src/') && !path.startsWith('src/generated/');
    };
    for (const fault of undocumented(project, isWritten)) app.logger.warn(fault);
  });
}
