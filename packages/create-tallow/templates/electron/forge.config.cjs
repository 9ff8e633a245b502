// For those who prefer Electron Forge to electron-builder: see "Packing it" in README.md.
module.exports = {
  packagerConfig: {
    // The addon is a file that the system loads, which cannot lie in an archive.
    asar: { unpack: '**/node_modules/tallow-*/**' },
    ignore: [/^\/(?:src|release|out)(?:\/|$)/, /^\/page\/(?:tsconfig\.json|.*\.d\.ts)$/],
  },
  // One build of the addon works in Node and in each Electron, so nothing is compiled again.
  rebuildConfig: { onlyModules: [] },
  makers: [{ name: '@electron-forge/maker-zip' }],
};
