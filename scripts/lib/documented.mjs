/** Whether hand-written names are documented in full. For what is generated, the generator refuses what is missing. */
import { ReflectionKind } from 'typedoc';

/** What need not have all of it, and why. */
const EXCEPTIONS = {
  'dispose @throws': 'passes over whatever it cannot dispose',
  'keep @throws': 'gives back whatever it is given',
  'hasArity @throws': 'answers for anything',
  'unshardInPmap @throws': 'gives back whatever it is given',
  'EfficientAttentionBase.forwardUnbatched @example': 'the example of the class is about it',
  'EfficientAttentionBase.incrementalForwardUnbatched @example': 'needs the memory that the layer hands it',
};

const textOf = (parts) => parts.map(({ text }) => text).join('');

/** The first paragraph of a comment. */
const opening = (comment) =>
  textOf(comment?.summary ?? [])
    .split(/\n\s*\n/)[0]
    .trim();

/** What is wrong with the first paragraph of a comment, if something is. */
function sentenceFault(comment) {
  const text = opening(comment);
  if (text === '') return 'a first sentence is missing';
  return /[.:]\s+[A-Z]/.test(text.replace(/`[^`]*`/g, '``')) || !text.endsWith('.')
    ? `the first paragraph must be one sentence with a full stop, not: ${text.slice(0, 80)}`
    : undefined;
}

/** What the comments of a function or method lack; one of several signatures may say it for all. */
function faultsOf(reflection, name) {
  const comments = reflection.signatures.map(({ comment }) => comment);
  const has = (tag) => comments.some((comment) => comment?.blockTags.some((block) => block.tag === tag));
  const excused = (tag) => Object.hasOwn(EXCEPTIONS, `${name} ${tag}`);
  const takesSome = reflection.signatures.some(({ parameters = [] }) => parameters.length > 0);
  const isConstructor = reflection.kindOf(ReflectionKind.Constructor);
  const nameless = reflection.signatures.flatMap(({ parameters = [] }) =>
    parameters.filter((parameter) => opening(parameter.comment) === '').map((parameter) => `@param ${parameter.name}`),
  );
  return [
    sentenceFault(comments[0]),
    !has('@example') && !isConstructor && !excused('@example') && '@example is missing',
    takesSome && !has('@throws') && !excused('@throws') && '@throws is missing',
    // The first signature describes the parameters, and the others what they have beside those.
    ...(reflection.signatures.length === 1 ? nameless.map((tag) => `${tag} is missing`) : []),
  ].filter(Boolean);
}

/**
 * Whether a member comes from a public class, or is what a public interface asks for: these have its docs. Bases that are not public
 * have none of their own.
 */
const isElsewhere = ({ inheritedFrom, implementationOf }) =>
  inheritedFrom?.reflection !== undefined || implementationOf?.reflection !== undefined;

/** What is wrong with the docs of all public names, a line each. `isWritten` tells whether a reflection is in a source written by hand. */
export function undocumented(project, isWritten) {
  const faults = [];
  const seen = new Set();
  const visit = (reflection, name) => {
    for (const child of reflection.children ?? []) {
      const path = name === '' ? child.name : `${name}.${child.name}`;
      if (child.kindOf([ReflectionKind.Module, ReflectionKind.Namespace])) visit(child, '');
      if (!isWritten(child) || seen.has(path)) continue;
      seen.add(path);
      const tell = (fault) => faults.push(`${path}: ${fault}`);
      if (child.kindOf([ReflectionKind.Function, ReflectionKind.Method, ReflectionKind.Constructor])) {
        if (!isElsewhere(child)) faultsOf(child, path).forEach(tell);
      } else if (child.kindOf(ReflectionKind.Class)) {
        const fault = sentenceFault(child.comment);
        if (fault) tell(fault);
        if (!child.comment?.blockTags.some(({ tag }) => tag === '@example')) tell('@example is missing');
        visit(child, path);
      } else if (child.kindOf([ReflectionKind.Interface, ReflectionKind.TypeAlias, ReflectionKind.Variable])) {
        const fault = sentenceFault(child.comment ?? child.signatures?.[0]?.comment);
        if (fault) tell(fault);
      } else if (child.kindOf([ReflectionKind.Property, ReflectionKind.Accessor])) {
        const fault = isElsewhere(child) ? undefined : sentenceFault(child.comment ?? child.getSignature?.comment);
        if (fault) tell(fault);
      }
    }
  };
  visit(project, '');
  return faults;
}
