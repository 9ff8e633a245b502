/**
 * Loading the addon, and what is said where it cannot be loaded.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type native = require('../../binding.cjs');
import { PLATFORMS, platformName, shownSystem, type System, systemOf } from './system.js';
import { version } from './version.js';

/** Why there is no addon: none is installed, there is none for the system, it cannot be loaded, or it is of another version. */
export type AddonFault = 'AddonMissing' | 'AddonUnsupported' | 'AddonBroken' | 'AddonVersion';

/** The error of a package whose addon cannot be used. */
export class AddonError extends Error {
  /** What is wrong, in one word. */
  readonly code: AddonFault;
  constructor(code: AddonFault, message: string, cause?: unknown) {
    super(`[${code}] ${message}`, cause === undefined ? {} : { cause });
    this.code = code;
  }
  static {
    this.prototype.name = 'AddonError';
  }
}

type Addon = typeof native;

/** The folder of the package. */
const root = join(dirname(__dirname), '..');

/** Where a module is, if it is there. */
function locate(name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

/** Where the addon of a system is, if it is there: beside the package in a checkout, else in a package of its own. */
const addonOf = (platform: string): string | undefined =>
  locate(join(root, `tallow.${platform}.node`)) ?? locate(`tallow-${platform}`);

/** The causes of an error, outermost first. */
function causes(error: unknown): Error[] {
  const all: Error[] = [];
  for (let e = error; e instanceof Error && all.length < 100; e = e.cause) all.push(e);
  return all;
}

/** The first line of what was said when a library could not be opened. */
function openingFault(error: unknown): string {
  const said = causes(error)
    .map(({ message }) => message.split('\n')[0]!)
    .filter((message) => !/^Cannot find (?:module|native binding)/.test(message));
  return said.find((message) => !message.includes('wasi')) ?? said[0] ?? 'no reason is told';
}

/** The command that installs the addon of a system. */
const installing = (platform: string): string => `npm install --no-save tallow-${platform}@${version}`;

/**
 * What is wrong where the addon of a system could not be loaded, and what to do. `find` finds addons, `loaded` is one that the process has already, and
 * `inCheckout` tells whether this is a place where addons are built.
 */
export function faultOf(
  error: unknown,
  system: System,
  find = addonOf,
  loaded: string | null = addonPath() ?? null,
  inCheckout = existsSync(join(root, 'crates')),
): AddonError {
  const platform = platformName(system);
  const here = shownSystem(system);
  const refuse = (code: AddonFault, message: string): AddonError =>
    new AddonError(code, `tallow cannot load its addon on ${here}: ${message}`, error);
  if (!PLATFORMS.includes(platform)) {
    return refuse('AddonUnsupported', `there is none for ${platform}, only for ${PLATFORMS.join(', ')}`);
  }
  const file = find(platform);
  if (file === undefined) {
    if (inCheckout) return refuse('AddonMissing', 'it is not built; `npm run build` builds it');
    const other = PLATFORMS.find((name) => find(name) !== undefined);
    if (other !== undefined) {
      const moved = `node_modules has tallow-${other} in its place, so it was installed on another system`;
      return refuse('AddonMissing', `${moved}; \`${installing(platform)}\` adds tallow-${platform}`);
    }
    const why = 'as npm leaves it out with --omit=optional, or with a package-lock.json of another system';
    return refuse(
      'AddonMissing',
      `the package tallow-${platform} is not installed, ${why}; \`${installing(platform)}\` adds it`,
    );
  }
  const fault = openingFault(error);
  const needed = /GLIBC_([\d.]+)' not found/.exec(fault)?.[1];
  if (needed !== undefined) {
    const has = system.libcVersion ?? 'an older one';
    return refuse(
      'AddonBroken',
      `${file} needs glibc ${needed}, and this system has ${has}; use a newer system or image`,
    );
  }
  // glibc keeps a small place for the thread-local storage of libraries that are loaded late, and one addon fills it.
  if (fault.includes('static TLS block')) {
    const why =
      loaded === null
        ? 'libraries that were loaded before left no room for its thread-local storage; load tallow before them'
        : `this process has loaded ${loaded} already, and has no room for a second copy; \`npm ls tallow\` shows who asks for each, and one version for all makes them one`;
    return refuse('AddonBroken', `${file} cannot be opened: ${why}`);
  }
  return refuse('AddonBroken', `${file} cannot be opened (${fault}); \`${installing(platform)} --force\` replaces it`);
}

/** The version of an addon: it tells once it is connected, which one of another version may refuse to be. */
function versionOf(addon: Addon, connect: (addon: Addon) => void): string {
  if (typeof addon.version !== 'function') return 'another version';
  try {
    connect(addon);
    return addon.version();
  } catch {
    return 'another version';
  }
}

/** The package whose addon has CUDA; who wants it installs it beside this one. */
const WITH_CUDA = 'tallow-cuda';

/**
 * The addon with CUDA where its package is installed and this machine can open it. Where it cannot, as without NVIDIA's driver, a warning says why, once
 * in a process, and the CPU computes.
 */
function addonWithCuda(): Addon | undefined {
  const manifest = locate(`${WITH_CUDA}/package.json`);
  if (manifest === undefined) return undefined;
  try {
    const { version: found } = JSON.parse(readFileSync(manifest, 'utf8'));
    if (found !== version) {
      throw new Error(
        `it is of ${found}, and this is tallow ${version}; \`npm install ${WITH_CUDA}@${version}\` brings them together`,
      );
    }
    return require(WITH_CUDA);
  } catch (error) {
    const why = `${WITH_CUDA} is installed, but it cannot be used (${openingFault(error)}); tallow computes on the CPU`;
    if (isMainThread) process.emitWarning(why, { type: 'TallowWarning', code: 'TALLOW_CUDA' });
    return undefined;
  }
}

/** The addon, of the version of this package, connected to this environment by `connect`. */
export function loadAddon(connect: (addon: Addon) => void): Addon {
  let addon: Addon;
  try {
    addon = addonWithCuda() ?? require('../../binding.cjs');
  } catch (error) {
    throw faultOf(error, systemOf());
  }
  const found = versionOf(addon, connect);
  if (found !== version) {
    const path = addonPath() ?? 'it';
    const command = existsSync(join(root, 'crates')) ? 'npm run build' : installing(platformName(systemOf()));
    const message = `this is tallow ${version}, and its addon ${path} is of ${found}; \`${command}\` brings them together`;
    throw new AddonError('AddonVersion', message);
  }
  return addon;
}

/** Path of the addon that is loaded. */
export function addonPath(): string | undefined {
  return Object.keys(require.cache).find((file) => /[\\/]tallow\.[\w-]+\.node$/.test(file));
}
