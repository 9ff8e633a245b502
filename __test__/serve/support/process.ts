/** A server in a process of its own. */
import { createServer, type ServerOptions } from '../../../src/serve/index.js';
import { served } from './models.js';

async function main(): Promise<void> {
  const options = JSON.parse(process.env['SERVER_OPTIONS'] ?? '{}') as Partial<ServerOptions>;
  const server = await createServer({ ...options, models: served() });
  const url = await server.listen({ port: 0 });
  await server.ready();
  process.send?.({ url });
  process.on('message', () => globalThis.gc?.());
  process.once('SIGTERM', () => void server.close().then(() => process.exit(0)));
  // A test that is gone needs no server.
  process.once('disconnect', () => process.exit(1));
}

void main();
