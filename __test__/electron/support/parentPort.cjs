/**
 * Stands for Electron's `process.parentPort` in a process that Node forks. A message `{ connect: n }` of the parent is a port of a page; what
 * stands behind it in `{ port: n, data }` came through that port, and what the program posts goes to the parent in the same form.
 */
const { EventEmitter } = require('node:events');

class Port extends EventEmitter {
  #number;
  #isOpen = true;
  /** What came before `start`. */
  #early = [];

  constructor(number) {
    super();
    this.#number = number;
  }
  postMessage(data) {
    if (this.#isOpen) process.send({ port: this.#number, data });
  }
  deliver(data) {
    if (this.#early !== null) this.#early.push(data);
    else if (this.#isOpen) this.emit('message', { data, ports: [] });
  }
  start() {
    const early = this.#early ?? [];
    this.#early = null;
    early.forEach((data) => this.deliver(data));
  }
  close() {
    this.#isOpen = false;
  }
}

const ports = new Map();
process.parentPort = new EventEmitter();
// Messages wait until the program listens, in Electron as in Node.
process.parentPort.once('newListener', () => {
  process.on('message', ({ connect, port, data }) => {
    if (connect === undefined) return void ports.get(port)?.deliver(data);
    ports.set(connect, new Port(connect));
    process.parentPort.emit('message', { data: null, ports: [ports.get(connect)] });
  });
});
