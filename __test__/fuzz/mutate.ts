/** Inputs made of good ones: bytes that change, and values of JSON that change while its form stays. */

/** Whole numbers below a bound. */
export type Roll = (below: number) => number;

/** Numbers that readers of bytes get wrong. */
const ODD_BYTES = [0, 1, 0x7f, 0x80, 0xff];
const ODD_WORDS = [0, 1, 0x7f_ff_ff_ff, 0x80_00_00_00, 0xff_ff_ff_ff];

/** One change of bytes. */
function change(bytes: Buffer, roll: Roll): Buffer {
  const at = roll(bytes.length + 1);
  const length = 1 + roll(roll(4) === 0 ? 256 : 8);
  switch (roll(7)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)]);
    case 3: {
      const from = roll(bytes.length + 1);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + length), bytes.subarray(at + length)]);
    }
    case 4: {
      const copy = Buffer.from(bytes);
      if (at + 4 <= copy.length) copy.writeUInt32LE(ODD_WORDS[roll(ODD_WORDS.length)]!, at);
      return copy;
    }
    default: {
      const copy = Buffer.from(bytes);
      if (at < copy.length) copy[at] = roll(2) === 0 ? copy[at]! ^ (1 << roll(8)) : ODD_BYTES[roll(ODD_BYTES.length)]!;
      return copy;
    }
  }
}

/** Bytes after one to four changes. */
export function mutated(bytes: Buffer, roll: Roll): Buffer {
  let changed = bytes;
  for (let i = roll(4); i >= 0; i -= 1) changed = change(changed, roll);
  return changed;
}

/** What may stand in place of a value. Sizes are small, or more than any machine has: a model of a middling one would only take long. */
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  -1,
  0,
  1,
  2,
  3,
  7,
  0.5,
  -0.5,
  2 ** 31,
  2 ** 53,
  1e300,
  '',
  'x',
  '\u{1f433}',
  [],
  [0],
  [[]],
  {},
  { x: 1 },
];

/** A value of JSON in which some are changed, left out, doubled or given other names. */
export function mutatedJson(value: unknown, roll: Roll, chance = 24): unknown {
  if (roll(chance) === 0) return ODD_VALUES[roll(ODD_VALUES.length)];
  if (Array.isArray(value)) {
    const items: unknown[] = value.map((item: unknown) => mutatedJson(item, roll, chance));
    if (roll(chance) === 0) items.splice(roll(items.length + 1), roll(2), items[roll(items.length)] ?? null);
    return items;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]): [string, unknown][] => {
      if (roll(chance * 2) === 0) return [];
      return [[roll(chance * 2) === 0 ? `${key}x` : key, mutatedJson(item, roll, chance)]];
    }),
  );
}
