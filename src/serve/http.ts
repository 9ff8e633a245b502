/**
 * What is wrong with a request before it is one: its bytes, its headers, its address.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import { type Socket } from 'node:net';
import { type FastifyInstance, type FastifyRequest } from 'fastify';
import { quoted } from '../bridge/found.js';
import { bodyOf, Refusal } from './errors.js';

/** What Node tells of a connection whose bytes are no request. */
function brokenBy({ code }: Error & { readonly code?: string }): Refusal {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Refusal(408, 'request_timeout', 'the request did not arrive within the time that this server gives');
    case 'HPE_HEADER_OVERFLOW':
      return new Refusal(431, 'headers_too_large', 'the headers are larger than this server takes; send fewer');
    default:
      return new Refusal(400, 'invalid_http', 'the request is not valid HTTP; send what an HTTP client sends');
  }
}

/** Answers bytes that are no request, and closes the connection. */
export function refuseBytes(error: Error & { readonly code?: string }, socket: Socket): void {
  // Who is gone hears nothing.
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (socket.writable) {
    const refusal = brokenBy(error);
    const body = JSON.stringify(bodyOf(refusal));
    const head = [
      `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
      'connection: close',
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
    ];
    socket.write([...head, '', body].join('\r\n'));
  }
  socket.destroy(error);
}

/** Refuses what is packed, which would be told to be no JSON. */
async function checkEncoding({ headers }: FastifyRequest): Promise<void> {
  const encoding = headers['content-encoding'];
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return;
  const message = `the body is encoded as ${quoted(encoding)}; send it as it is, without \`content-encoding\``;
  throw new Refusal(415, 'unsupported_encoding', message);
}

/** Reads bodies: JSON in UTF-8, and nothing else. */
export function addBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (typeof body !== 'string' && !isUtf8(body))
      return done(new Refusal(400, 'invalid_json', 'the body is not UTF-8, in which JSON must be sent'));
    // It answers by calling back.
    return void parse(request, body.toString(), done);
  });
  app.addHook('preParsing', checkEncoding);
}
