import { must } from './run.mjs';

const newest = (versions) => versions.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]).at(-1);

/** What `readelf` says that a library asks of the system: its libraries, and the newest version of glibc's symbols. */
export function asked(told) {
  const libraries = [...told.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name]) => name);
  const versions = [...told.matchAll(/\bGLIBC_(\d+)\.(\d+)/g)].map(([, major, minor]) => [
    Number(major),
    Number(minor),
  ]);
  return { libraries, glibc: newest(versions)?.join('.') };
}

/** Why a library does not run where the given version of glibc is the newest, and nothing beside it; an empty list where it does. */
export function faults({ libraries, glibc }, floor) {
  const [major, minor] = floor.split('.').map(Number);
  const found = [];
  if (glibc && newest([glibc.split('.').map(Number), [major, minor]]).join('.') !== floor) {
    found.push(`it needs glibc ${glibc}, newer than ${floor}`);
  }
  const others = libraries.filter((name) => !/^(lib(c|m|pthread|dl|rt)\.so|ld-linux)/.test(name));
  if (others.length > 0) found.push(`it needs ${others.join(', ')}`);
  return found;
}

/** {@link asked} of a file. */
export const askedBy = async (file) => asked(await must('readelf', 'readelf', ['-d', '-V', '-W', file]));
