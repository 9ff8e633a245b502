/** Reads event files: TFRecords of protocol buffers, as TensorBoard does, but for their checksums. */
import { readFileSync } from 'node:fs';

type Fields = Map<number, (bigint | Buffer)[]>;

/** The fields of a message, by their numbers. */
export function fields(message: Buffer): Fields {
  const out: Fields = new Map();
  let at = 0;
  const varint = (): bigint => {
    let n = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at]!;
      at += 1;
      n |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return n;
    }
  };
  const take = (length: number): Buffer => {
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const key = varint();
    const kind = Number(key & 7n);
    const content = kind === 0 ? varint() : take(kind === 1 ? 8 : kind === 5 ? 4 : Number(varint()));
    const field = Number(key >> 3n);
    out.set(field, [...(out.get(field) ?? []), content]);
  }
  return out;
}

/** The content of a field that is bytes or a message. */
export const bytesOf = (of: Fields, field: number): Buffer => {
  const content = of.get(field)?.[0];
  return typeof content === 'bigint' || content === undefined ? Buffer.alloc(0) : content;
};

/** A value that was written. */
export interface Written {
  readonly step: number;
  readonly tag: string;
  readonly value: Fields;
}

/** All values of an event file, in order. */
export function eventsOf(path: string): Written[] {
  const file = readFileSync(path);
  const out: Written[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    const event = fields(file.subarray(at + 12, at + 12 + length));
    at += 16 + length;
    const step = event.get(2)?.[0] ?? 0n;
    for (const entry of fields(bytesOf(event, 5)).get(1) ?? []) {
      const value = fields(typeof entry === 'bigint' ? Buffer.alloc(0) : entry);
      out.push({ step: Number(step), tag: bytesOf(value, 1).toString(), value });
    }
  }
  return out;
}
