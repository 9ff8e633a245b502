/** Serves the trained model: OpenAI's interface for programs, and a page for people. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import * as tl from 'tallow';
import { createServer } from 'tallow/serve';

const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: 'runs' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8000' },
  },
});
const { folder, host, port } = values;
const saved = join(folder, 'model');

if (!existsSync(saved)) {
  console.error(`There is no model in ${saved} yet: npm run train`);
  process.exit(1);
}
const server = await createServer({ models: [await tl.models.openFolder(saved)] });

/** Types of the page's files; others, such as its TypeScript, are not served. */
const TYPES = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);
for (const file of readdirSync('page')) {
  const type = TYPES.get(extname(file));
  if (type === undefined) continue;
  const content = readFileSync(join('page', file));
  server.app.get(file === 'index.html' ? '/' : `/${file}`, (_request, reply) => reply.type(type).send(content));
}
const history = readFileSync(join(folder, 'history.json'));
server.app.get('/history.json', (_request, reply) => reply.type('application/json').send(history));

// Requests under way are finished before the program ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close());
const address = await server.listen({ host, port: Number(port) });
await server.ready();
console.log(`Listening on ${address}`);
