/**
 * Loads addons as Electron does from an archive: what is unpacked is taken from the folder beside it. Tells the parent what was loaded.
 */
const { sep } = require('node:path');

const { dlopen } = process;
process.dlopen = function (module, path, ...flags) {
  const unpacked = path.replace(`app.asar${sep}`, `app.asar.unpacked${sep}`);
  process.send({ loaded: unpacked });
  return Reflect.apply(dlopen, this, [module, unpacked, ...flags]);
};
