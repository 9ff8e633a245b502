/**
 * Stands for the module `electron` where no Electron can be run: the main process of a project and its preload script run in one process of Node, the
 * training process in another, and the test that forked this one has the page's place. It gets what the page would hear and what was asked of
 * Electron, as `{ event }` and `{ told }`, and says what the page and its user do, as `{ command }` and `{ does }`.
 */
const { fork } = require('node:child_process');
const { EventEmitter } = require('node:events');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { fileURLToPath } = require('node:url');
const { MessageChannel } = require('node:worker_threads');

const [root, data] = process.argv.slice(2);
const parentPort = process.env.STAND_IN_PARENT_PORT;
const tell = (name, value) => process.send({ told: { name, value } });

/** Schemes and who answers for them. */
const schemes = new Map();
let privileged = [];
let permission;
/** The scripts' side of the window: what the page has, and what its preload script hears. */
let renderer;

exports.app = Object.assign(new EventEmitter(), {
  getAppPath: () => root,
  getPath: (name) => join(data, name),
  whenReady: async () => undefined,
  quit() {
    process.send({ told: { name: 'quit' } }, () => process.exit(0));
  },
});

exports.protocol = {
  registerSchemesAsPrivileged: (schemes) => (privileged = schemes),
  handle: (scheme, answer) => schemes.set(scheme, answer),
};
exports.net = { fetch: async (url) => new Response(readFileSync(fileURLToPath(url))) };
exports.session = { defaultSession: { setPermissionRequestHandler: (handler) => (permission = handler) } };

exports.MessageChannelMain = MessageChannel;

/** The training process. A port that it is given goes to it by number. */
let ports = 0;
exports.utilityProcess = {
  fork(entry, args, { serviceName }) {
    const execArgv = ['--require', parentPort, '--disallow-code-generation-from-strings'];
    const child = fork(entry, [...args, process.env.STAND_IN_STEPS], { execArgv, serialization: 'advanced' });
    tell('fork', { serviceName, args, pid: child.pid });
    // As in Electron, nobody hears of a message to a process that is just ending.
    const post = (message) => child.connected && child.send(message, () => {});
    const utility = Object.assign(new EventEmitter(), {
      kill: () => child.kill(),
      postMessage(_, [port]) {
        const number = (ports += 1);
        post({ connect: number });
        port.on('message', (data) => post({ port: number, data }));
        child.on('message', (message) => message.port === number && port.postMessage(message.data));
      },
    });
    child.on('exit', (code) => utility.emit('exit', code ?? 9));
    return utility;
  },
};

exports.contextBridge = {
  exposeInMainWorld(name, api) {
    tell('exposed', { name, keys: Object.keys(api) });
    renderer.api = api;
  },
};
exports.ipcRenderer = {
  on: (channel, listener) => renderer.channels.on(channel, listener),
};

exports.BrowserWindow = class extends EventEmitter {
  #preload;

  constructor({ webPreferences }) {
    super();
    const { preload, ...rest } = webPreferences;
    this.#preload = preload;
    tell('window', rest);
    this.webContents = Object.assign(new EventEmitter(), {
      setWindowOpenHandler: (handler) => (this.onOpen = handler),
      // What crosses to another process is a copy.
      postMessage: (channel, message, ports) => renderer.channels.emit(channel, { ports }, structuredClone(message)),
      send: (channel, message) => renderer.channels.emit(channel, {}, structuredClone(message)),
    });
    exports.window = this;
  }
  async loadURL(url) {
    const answer = await exports.request(url);
    tell('page', { url, status: answer.status, type: privileged[0]?.scheme, text: await answer.text() });
    // Each page has its own preload script.
    renderer = { channels: new EventEmitter() };
    delete require.cache[require.resolve(this.#preload)];
    require(this.#preload);
    this.webContents.emit('did-finish-load');
    // The page's own script runs later than what comes first.
    const { api } = renderer;
    setTimeout(() => api.onEvent((event) => process.connected && process.send({ event: structuredClone(event) })), 50);
  }
};

exports.request = (url) => schemes.get(new URL(url).protocol.slice(0, -1))({ url });

/** What the page and its user can do. */
const deeds = {
  reload: () => exports.window.loadURL('app://tallow/index.html'),
  request: async (url) => tell('answer', (await exports.request(url)).status),
  navigate() {
    let prevented = false;
    exports.window.webContents.emit('will-navigate', { preventDefault: () => (prevented = true) });
    tell('navigated', !prevented);
  },
  open: (url) => tell('opened', exports.window.onOpen({ url }).action),
  permission: (name) => permission(null, name, (granted) => tell('granted', granted)),
  close() {
    exports.window.emit('closed');
    exports.app.emit('window-all-closed');
  },
};
process.on('message', ({ command, does }) => {
  if (command !== undefined) renderer.api.send(command);
  else void deeds[does[0]](...does.slice(1));
});
