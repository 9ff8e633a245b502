/** What the page may do, and nothing else: send commands to the training process, and hear its events. */
import { contextBridge, ipcRenderer } from 'electron';
import type { Command, Lab, LabEvent } from '../page/protocol.js';

let port: MessagePort | undefined;
let listener: ((event: LabEvent) => void) | undefined;
/** What came before the page listened. */
let early: LabEvent[] = [];

function tell(event: LabEvent): void {
  if (listener === undefined) early.push(event);
  else listener(event);
}

ipcRenderer.on('port', ({ ports }, { ended }: { ended: number | null }) => {
  port?.close();
  [port] = ports;
  if (ended !== null) tell({ type: 'restarted', code: ended });
  port?.addEventListener('message', ({ data }: MessageEvent<LabEvent>) => tell(data));
  port?.start();
});
ipcRenderer.on('gone', (_event, { code }: { code: number }) => tell({ type: 'gone', code }));

const lab: Lab = {
  send: (command: Command) => port?.postMessage(command),
  onEvent: (heard) => {
    listener = heard;
    early.forEach(heard);
    early = [];
  },
};
contextBridge.exposeInMainWorld('lab', lab);
