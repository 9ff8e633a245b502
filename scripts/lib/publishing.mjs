import { Refusal } from './run.mjs';

/** First the platforms, then what asks for them, then what asks for that. */
const place = ({ manifest: { name } }) => (name === 'tallow' ? 1 : name === 'create-tallow' ? 2 : 0);

/**
 * What is published, in the order in which it must be: a package after all that it asks for. Refuses what would leave a published package that
 * cannot be installed: a platform that is missing, versions that differ, a tag of another version.
 *
 * @param {readonly { path: string, manifest: { name: string, version: string, optionalDependencies?: Record<string, string> } }[]} packed
 * @param {string} [ref] the tag that is released, as `refs/tags/v1.2.3`, if one is
 * @returns {{ path: string, name: string, version: string, tag: string }[]}
 */
export function plan(packed, ref) {
  const root = packed.find(({ manifest }) => manifest.name === 'tallow');
  if (!root) throw new Refusal('there is no tarball of tallow: npm run package');
  const { version, optionalDependencies = {} } = root.manifest;
  const platforms = Object.keys(optionalDependencies);
  const missing = platforms.filter((name) => !packed.some(({ manifest }) => manifest.name === name));
  if (missing.length > 0) throw new Refusal(`tallow asks for packages that are not packed: ${missing.join(', ')}`);
  const known = ['tallow', 'create-tallow', ...platforms];
  const unknown = packed.find(({ manifest }) => !known.includes(manifest.name));
  if (unknown) throw new Refusal(`${unknown.path} is of ${unknown.manifest.name}, which tallow does not ask for`);
  const other = packed.find(({ manifest }) => manifest.version !== version);
  if (other) throw new Refusal(`${other.manifest.name} is at ${other.manifest.version}, tallow at ${version}`);
  const released = /^refs\/tags\/(.*)$/.exec(ref ?? '')?.[1];
  if (released !== undefined && released !== `v${version}`) {
    throw new Refusal(`the tag is ${released}, and the packages are at ${version}`);
  }
  return packed
    .toSorted((a, b) => place(a) - place(b) || (a.manifest.name < b.manifest.name ? -1 : 1))
    .map(({ path, manifest: { name } }) => ({ path, name, version, tag: version.includes('-') ? 'next' : 'latest' }));
}
