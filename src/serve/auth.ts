/**
 * Who may call.
 *
 * @module
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Refusal } from './errors.js';

/** Keys of any length as bytes of one length, so that a comparison takes the same time for all. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Checks the header `authorization` of a request. */
export function keyCheck(keys: readonly string[]): (header: string | undefined) => void {
  const known = keys.map(digest);
  return (header) => {
    const given = /^Bearer +(.+)$/i.exec(header ?? '')?.[1];
    if (given === undefined)
      throw new Refusal(401, 'missing_api_key', 'no key was sent; send the header `authorization: Bearer KEY`');
    const sent = digest(given.trim());
    // All are compared, so that the time does not tell which one is like it.
    const matches = known.map((key) => timingSafeEqual(key, sent));
    if (!matches.includes(true)) throw new Refusal(401, 'invalid_api_key', 'the key is none of this server’s');
  };
}
