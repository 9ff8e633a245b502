import { parseArgs } from 'node:util';
import { prepare } from './build.mjs';
import { tool } from './lib/needs.mjs';
import { root } from './lib/paths.mjs';
import { dim, main, run } from './lib/run.mjs';
import { specsFor, specsNamed } from './lib/specs.mjs';

const help = `npm run watch -- [specs]

After each save, builds what is stale (the addon from Rust, dist/ from TypeScript) and runs the TypeScript tests that are called as
the saved file or its folder. Ctrl-C ends it. What follows from the registry of layers is written by \`npm run codegen\`.

  specs   parts of paths, as \`tensor\`: runs these files of tests after each save, and once at the start
  --help  this text`;

const watched = ['crates', 'src', '__test__', 'scripts', 'examples', 'bench', 'docs', 'README.md', 'Cargo.toml'];

const started = () => console.log(dim('waiting for a save; Ctrl-C ends'));

await main(async () => {
  const { values, positionals } = parseArgs({ options: { help: { type: 'boolean' } }, allowPositionals: true });
  if (values.help) return void console.log(help);
  const chosen = specsNamed(positionals);
  await prepare();
  // An installed package: it may not be there before prepare().
  const { watch } = await import('./lib/watch.mjs');

  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => stop.abort());
  const node = (...args) => run(process.execPath, args, { live: true, signal: stop.signal });
  async function work(files) {
    const built = await node('scripts/build.mjs');
    const specs = chosen.length > 0 ? chosen : specsFor(files);
    if (built.code === 0 && specs.length > 0) await node(tool('ava'), ...specs);
    else if (built.code === 0 && files.length > 0) console.log(`no file of tests is called as ${files.join(', ')}`);
  }
  // Nothing was saved yet: the build, and the tests that were named.
  await work([]);
  if (!stop.signal.aborted) {
    await watch(watched, (files) => work(files).then(started), { cwd: root, signal: stop.signal, started });
  }
});
