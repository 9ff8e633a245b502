import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { npm } from './needs.mjs';
import { NOTICES } from './notices.mjs';
import { at, readJson, root } from './paths.mjs';
import { must, Refusal } from './run.mjs';

const json = (value) => `${JSON.stringify(value, null, 2)}\n`;

/** The folders below npm/, each a platform package: "linux-x64-gnu" and so on. */
export const platforms = () => readdirSync(at('npm')).toSorted();

/** The keys of package.json that only a checkout needs. */
const checkoutOnly = ['scripts', 'devDependencies', 'overrides', 'allowScripts', 'ava', 'napi'];

/** Stands in every package. npm takes LICENSE by itself. */
const legal = ['LICENSE', NOTICES];

/** Bytes that a tarball may have: the root's, of which 150,000 are docs in declarations, and that of a platform as it is published. */
export const LIMITS = { root: 420_000, platform: 8_000_000 };

/**
 * What is too large of some tarballs, the root's first, each in a sentence.
 *
 * @param {readonly { name: string, bytes: number }[]} tarballs
 * @returns {string[]}
 */
export function oversize(tarballs) {
  return tarballs.flatMap(({ name, bytes }, i) => {
    const limit = i === 0 ? LIMITS.root : LIMITS.platform;
    return bytes > limit
      ? [`${name} has ${bytes.toLocaleString('en')} bytes, and may have ${limit.toLocaleString('en')}`]
      : [];
  });
}

/**
 * Packs the root package and each platform package whose addon lies in the folder `addons`; gives the tarballs' paths,
 * the root's first. Only here does the root package name its platform packages, each at exactly its own version: in a
 * checkout they would make `npm ci` ask for versions that are yet to be published.
 */
export async function packAll(out, addons = root) {
  const manifest = readJson('package.json');
  const stage = join(resolve(out), 'stage');
  rmSync(stage, { recursive: true, force: true });

  const packed = [];
  for (const platform of platforms()) {
    const file = `${manifest.napi.binaryName}.${platform}.node`;
    if (!existsSync(join(addons, file))) continue;
    const folder = join(stage, platform);
    cpSync(at('npm', platform), folder, { recursive: true });
    const platformManifest = readJson(`npm/${platform}/package.json`);
    // napi leaves the module type open; said, it spares Node from guessing.
    writeFileSync(
      join(folder, 'package.json'),
      json({ ...platformManifest, files: [...platformManifest.files, NOTICES], type: 'commonjs' }),
    );
    cpSync(join(addons, file), join(folder, file));
    for (const name of legal) cpSync(at(name), join(folder, name));
    packed.push(await pack(folder, out));
  }
  if (existsSync(join(addons, CUDA.file))) packed.push(await pack(stageCuda(join(stage, CUDA.name), addons), out));
  if (packed.length === 0) throw new Refusal(`no addon in ${addons}: npm run build, or collect those that CI built`);

  const folder = join(stage, 'root');
  mkdirSync(folder, { recursive: true });
  for (const name of ['dist', 'binding.cjs', 'binding.d.cts', 'CHANGELOG.md', ...legal]) {
    cpSync(at(name), join(folder, name), { recursive: true });
  }
  const readme = absoluteLinks(readFileSync(at('README.md'), 'utf8'), manifest);
  writeFileSync(join(folder, 'README.md'), readme);
  const optionalDependencies = Object.fromEntries(
    platforms().map((platform) => {
      const { name, version } = readJson(`npm/${platform}/package.json`);
      if (version !== manifest.version)
        throw new Refusal(`${name} is at ${version}, tallow at ${manifest.version}: npx napi version`);
      return [name, version];
    }),
  );
  for (const key of checkoutOnly) delete manifest[key];
  writeFileSync(join(folder, 'package.json'), json({ ...manifest, optionalDependencies }));
  return [await pack(folder, out), ...packed];
}

/** The package of the addon with CUDA. No other names it, so that it is nowhere unless somebody asked for it. */
const CUDA = { name: 'tallow-cuda', file: 'tallow.cuda.node', platform: 'linux-x64-gnu' };

/** Lays the package of the addon with CUDA out in a folder. */
function stageCuda(folder, addons) {
  mkdirSync(folder, { recursive: true });
  const like = readJson(`npm/${CUDA.platform}/package.json`);
  const description = `${like.description} With CUDA, for GPUs of NVIDIA.`;
  writeFileSync(
    join(folder, 'package.json'),
    json({ ...like, name: CUDA.name, main: CUDA.file, files: [CUDA.file], description, type: 'commonjs' }),
  );
  writeFileSync(
    join(folder, 'README.md'),
    `# \`${CUDA.name}\`

The binary for \`tallow\` with CUDA, for Linux x64 (glibc) and GPUs of NVIDIA from the Ampere generation on. Install it beside \`tallow\`, at the same version:
\`tallow\` takes it wherever it can be opened, which needs NVIDIA's driver and the libraries of CUDA 13 (cublas, curand, cudart, nvrtc), and computes on the
CPU, with a warning, wherever it cannot.
`,
  );
  for (const file of [join(addons, CUDA.file), at('LICENSE')]) cpSync(file, join(folder, basename(file)));
  return folder;
}

/**
 * A page whose links lead to the repository, at the tag of the version, where they would lead to files that are not packed.
 */
export function absoluteLinks(page, { repository, version }) {
  const base = repository.url.replace(/^git\+|\.git$/g, '');
  const packed = ['CHANGELOG.md', ...legal];
  return page.replace(/(!?)(\[[^\]]*\])\(([^)\s]+)\)/g, (link, image, text, to) => {
    if (/^(#|[a-z]+:)/.test(to) || packed.includes(to)) return link;
    return `${image}${text}(${base}/${image ? 'raw' : 'blob'}/v${version}/${to})`;
  });
}

async function pack(folder, out) {
  const [command, args] = npm('pack', folder, '--json', '--loglevel=error', '--pack-destination', resolve(out));
  const printed = JSON.parse(await must('npm pack', command, args));
  const [{ filename }] = Object.values(printed);
  return join(resolve(out), filename);
}
