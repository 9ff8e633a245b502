/** The entry of the training process, which Electron's utilityProcess runs: a page comes by a port, and talks with the lab. */
import { Lab } from './lab.js';
import { STEPS } from './model.js';
import type { LabEvent } from '../page/protocol.js';

const [folder, text, steps] = process.argv.slice(2);
if (folder === undefined || text === undefined) throw new Error('usage: trainer FOLDER TEXT [STEPS]');

/** The port to the page; another one takes its place when the page is loaded anew. */
let port: Electron.MessagePortMain | undefined;
const tell = (event: LabEvent): void => port?.postMessage(event);
const lab = Lab.open(folder, text, tell, steps === undefined ? STEPS : Number(steps));

process.parentPort.on('message', ({ ports }) => {
  port?.close();
  [port] = ports;
  port?.on('message', ({ data }) => void lab.then((open) => open.handle(data)));
  port?.start();
  void lab.then((open) => open.greet());
});
