/**
 * What this process runs on, as far as the choice of an addon goes.
 *
 * @module
 */
import { isRecord } from './found.js';

/** What an addon is built for, and the Node that loads it. */
export interface System {
  /** The operating system, by Node's name. */
  readonly platform: string;
  /** The processor's architecture, by Node's name. */
  readonly arch: string;
  /** The C library, where there are several. */
  readonly libc: 'glibc' | 'musl' | null;
  /** Its version, if it is told. */
  readonly libcVersion: string | null;
  /** The version of Node. */
  readonly node: string;
}

/** The systems that there are packages for: what stands behind `tallow-` in their names. */
export const PLATFORMS: readonly string[] = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-arm64-msvc',
  'win32-x64-msvc',
];

/** The C library of Linux that Node was started with. */
function libcOf(): Pick<System, 'libc' | 'libcVersion'> {
  // Names of hosts would be looked up, which may take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report: unknown = process.report.getReport();
  const header = isRecord(report) && isRecord(report['header']) ? report['header'] : {};
  const version = header['glibcVersionRuntime'];
  return typeof version === 'string' ? { libc: 'glibc', libcVersion: version } : { libc: 'musl', libcVersion: null };
}

/** What this process runs on. */
export function systemOf(): System {
  const { platform, arch, version: node } = process;
  return { platform, arch, ...(platform === 'linux' ? libcOf() : { libc: null, libcVersion: null }), node };
}

const ABIS: Readonly<Record<string, string>> = { glibc: '-gnu', musl: '-musl' };

/** What the addon for a system is called, as in {@link PLATFORMS}, whether there is one or not. */
export function platformName({ platform, arch, libc }: System): string {
  return `${platform}-${arch}${platform === 'win32' ? '-msvc' : libc === null ? '' : ABIS[libc]}`;
}

/** A system in words: `linux x64, glibc 2.36, Node v22.1.0`. */
export function shownSystem({ platform, arch, libc, libcVersion, node }: System): string {
  const c = libc === null ? '' : `, ${libcVersion === null ? libc : `${libc} ${libcVersion}`}`;
  return `${platform} ${arch}${c}, Node ${node}`;
}
