import { filesIn } from './paths.mjs';
import { must, Refusal } from './run.mjs';

/** All files of TypeScript tests. */
const all = () => filesIn(['__test__']).filter((file) => file.endsWith('.spec.ts'));

/** A part of a path without its endings, as specs are called: `rel_attention.rs` is `relAttention`. */
const plain = (part) => part.replace(/\..*$/, '').replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

/**
 * The specs that belong to files by their names: a spec itself, and that which is called as the file or a folder that it lies in
 * (`src/training/trainer.ts` has `training.spec.ts`). The blocks of README are tested with those of `docs`.
 */
export function specsFor(files, specs = all()) {
  const words = new Set(files.flatMap((file) => (file === 'README.md' ? ['docs'] : file.split('/').map(plain))));
  return specs.filter((spec) => files.includes(spec) || words.has(plain(spec.split('/').at(-1))));
}

/** The specs whose path contains one of the texts; a text that is in none is refused. */
export function specsNamed(texts, specs = all()) {
  const unknown = texts.find((text) => !specs.some((spec) => spec.includes(text)));
  if (unknown !== undefined) throw new Refusal(`no file of tests has \`${unknown}\` in its path`);
  return specs.filter((spec) => texts.some((text) => spec.includes(text)));
}

/** The paths that a command of git lists. */
const listed = async (...args) => (await must('git', 'git', [...args, '-z'])).split('\0').filter(Boolean);

/** What differs from the last commit, and the files that git does not know yet. */
export async function changedFiles() {
  return [
    ...(await listed('diff', '--name-only', 'HEAD')),
    ...(await listed('ls-files', '--others', '--exclude-standard')),
  ].toSorted();
}
