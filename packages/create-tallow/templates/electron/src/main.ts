/** The main process: a window, and the training process beside it, which it starts again when it ends. */
import { join, normalize, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { app, BrowserWindow, MessageChannelMain, net, protocol, session, utilityProcess } from 'electron';
import { supervise } from './supervise.js';

const ROOT = app.getAppPath();
const PAGE = join(ROOT, 'page');

// A scheme of its own has an origin, which file: has not; so the page's rules for scripts hold.
protocol.registerSchemesAsPrivileged([{ scheme: 'app', privileges: { standard: true, secure: true } }]);

/** Serves the files of the page, and no others. */
function servePage(): void {
  protocol.handle('app', ({ url }) => {
    const path = normalize(join(PAGE, decodeURIComponent(new URL(url).pathname)));
    if (!path.startsWith(PAGE + sep)) return new Response('not found', { status: 404 });
    return net.fetch(pathToFileURL(path).href);
  });
}

function openWindow(): void {
  const window = new BrowserWindow({
    width: 960,
    height: 720,
    webPreferences: {
      preload: join(import.meta.dirname, 'preload.cjs'),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
    },
  });
  // The page shows what is here, and leads nowhere else.
  window.webContents.on('will-navigate', (event) => event.preventDefault());
  window.webContents.setWindowOpenHandler(() => ({ action: 'deny' }));

  let trainer: Electron.UtilityProcess;
  let loaded = false;
  /** Gives the page and the training process the two ends of a channel. */
  const connect = (ended: number | null): void => {
    const { port1, port2 } = new MessageChannelMain();
    trainer.postMessage(null, [port1]);
    window.webContents.postMessage('port', { ended }, [port2]);
  };
  const entry = join(import.meta.dirname, 'trainer.js');
  const args = [app.getPath('userData'), join(ROOT, 'text.txt')];
  const end = supervise(() => utilityProcess.fork(entry, args, { serviceName: 'Training', stdio: 'inherit' }), {
    onStart: (started, ended) => {
      trainer = started;
      if (loaded) connect(ended);
    },
    onGiveUp: (code) => loaded && window.webContents.send('gone', { code }),
  });
  window.webContents.on('did-finish-load', () => {
    loaded = true;
    connect(null);
  });
  window.on('closed', () => {
    loaded = false;
    end();
  });
  void window.loadURL('app://tallow/index.html');
}

app.on('window-all-closed', () => app.quit());
await app.whenReady();
session.defaultSession.setPermissionRequestHandler((_contents, _permission, answer) => answer(false));
servePage();
openWindow();
