import { homedir } from 'node:os';
import { join } from 'node:path';

/** Names of Node by those of Rust. */
const ARCHITECTURES = { x86_64: 'x64', aarch64: 'arm64' };

/**
 * How the addon of a target is built as it is published: the name of its platform, cargo's arguments and variables, and the file that comes out.
 *
 * @param {string} target a triple of Rust
 * @param {string} root the checkout. Neither its path nor that of cargo's files gets into the addon, or two machines would build two.
 */
export function recipe(target, root) {
  const [processor, vendor, , abi] = target.split('-');
  const arch = ARCHITECTURES[processor];
  const home = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const remapped = `--remap-path-prefix=${root}=/tallow --remap-path-prefix=${home}=/cargo`;
  const common = ['--profile', 'dist', '--locked', '--package', 'tallow-node', '--target'];
  if (vendor === 'apple') {
    return {
      platform: `darwin-${arch}`,
      args: ['build', ...common, target],
      // The oldest macOS that Node 20 runs on.
      env: { RUSTFLAGS: remapped, MACOSX_DEPLOYMENT_TARGET: '11.0' },
      library: 'libtallow_node.dylib',
    };
  }
  if (vendor === 'pc') {
    return {
      platform: `win32-${arch}-msvc`,
      args: ['build', ...common, target],
      env: { RUSTFLAGS: remapped },
      library: 'tallow_node.dll',
    };
  }
  return {
    platform: `linux-${arch}-${abi}`,
    // The glibc of the oldest systems that Node 20 runs on.
    args: ['zigbuild', ...common, abi === 'gnu' ? `${target}.2.28` : target],
    env: { RUSTFLAGS: abi === 'musl' ? `${remapped} -C target-feature=-crt-static` : remapped },
    library: 'libtallow_node.so',
  };
}
