/**
 * The libraries of a server, which a program installs beside this package.
 *
 * @module
 */
import { library } from '../bridge/library.js';
import { ServeError } from './errors.js';

const missing =
  (what: string) =>
  (message: string, cause: unknown): ServeError =>
    new ServeError('MissingLibrary', `${what}: ${message}`, cause);

/** The HTTP library. */
export const loadFastify = async () =>
  (await library('fastify', 'answers requests', () => import('fastify'), missing('createServer'))).fastify;

/** What streams events. */
export const loadSse = async () =>
  (await library('@fastify/sse', 'streams outputs', () => import('@fastify/sse'), missing('createServer'))).fastifySSE;

/** What lets pages of other origins call. */
export const loadCors = async () =>
  (
    await library(
      '@fastify/cors',
      'lets other origins in',
      () => import('@fastify/cors'),
      missing('createServer: cors'),
    )
  ).fastifyCors;

/** What counts and measures. */
export const loadProm = () =>
  library(
    'prom-client',
    'counts requests',
    () => import('prom-client'),
    missing('createServer (`metrics: false` does without)'),
  );

/** What fills in templates of chats. */
export const loadJinja = () =>
  library('@huggingface/jinja', 'fills in templates', () => import('@huggingface/jinja'), missing('chatTemplate'));
