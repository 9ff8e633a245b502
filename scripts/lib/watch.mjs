import { once } from 'node:events';
import { sep } from 'node:path';
import { watch as observe } from 'chokidar';
import { red, Refusal } from './run.mjs';

/** Editors save in more steps than one. */
const pause = 100;

/** What is written by programs, and what editors leave beside a file. */
const ignored = /(^|[\\/])(node_modules|target|dist|\.[^\\/.][^\\/]*)([\\/]|$)|docs[\\/]api[\\/]|~$|\.sw[a-z]$/;

/**
 * Calls `work` with the files below `paths` that were saved, made or removed, one call at a time: what is saved while it runs is for the
 * next call. An error of `work` is printed, and watching goes on, until `signal`; then it resolves, once a call that runs has ended.
 */
export async function watch(paths, work, { cwd, signal, started = () => {} }) {
  const saved = new Set();
  let current = null;
  let timer;
  async function go() {
    while (saved.size > 0 && !signal.aborted) {
      const files = [...saved].toSorted();
      saved.clear();
      try {
        await work(files);
      } catch (error) {
        if (!signal.aborted) console.error(error instanceof Refusal ? red(error.message) : error);
      }
    }
    current = null;
  }
  const watcher = observe(paths, { cwd, ignoreInitial: true, ignored: (path) => ignored.test(path) });
  watcher.on('all', (_event, path) => {
    saved.add(path.split(sep).join('/'));
    clearTimeout(timer);
    timer = setTimeout(() => (current ??= go()), pause);
  });
  await once(watcher, 'ready');
  started();
  if (!signal.aborted) await once(signal, 'abort');
  clearTimeout(timer);
  await watcher.close();
  await current;
}
