/** The table: what tallow does, and how much longer each rival takes. */
import { median, type Result } from './measure.js';

/** Milliseconds with a unit that keeps three digits: `564 ns`, `2.51 ms`, `1.20 s`. */
export function time(milliseconds: number): string {
  const [value, unit] =
    milliseconds < 1e-3
      ? [milliseconds * 1e6, 'ns']
      : milliseconds < 1
        ? [milliseconds * 1e3, 'µs']
        : milliseconds < 1e3
          ? [milliseconds, 'ms']
          : [milliseconds / 1e3, 's'];
  return `${value.toPrecision(3).replace(/e\+?\d+$/, '')} ${unit}`;
}

const times = (ratio: number): string => `${ratio.toFixed(2)}×`;

/** Rows of text as columns: the first to the left, the others to the right. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The results of each case at each number of threads. */
export function byCase(results: readonly Result[]): Result[][] {
  const groups = new Map<string, Result[]>();
  for (const result of results) {
    const key = `${result.suite} ${result.case} ${result.threads}`;
    groups.set(key, [...(groups.get(key) ?? []), result]);
  }
  return [...groups.values()];
}

/**
 * The table of all results.
 *
 * @param peaks - GFLOP/s the processor can do, by number of threads; empty if not measured
 */
export function table(results: readonly Result[], peaks: ReadonlyMap<number, number>): string {
  const rivals = [...new Set(results.map(({ implementation }) => implementation))].filter((name) => name !== 'tallow');
  const head = ['', 'threads', 'least', 'median', 'rate', ...(peaks.size > 0 ? ['of peak'] : []), ...rivals];
  const rows = byCase(results).flatMap((group) => {
    const own = group.find(({ implementation }) => implementation === 'tallow');
    if (own === undefined) return [];
    const peak = peaks.get(own.threads);
    const share = own.rateUnit === 'GFLOP/s' && peak !== undefined ? `${Math.round((100 * own.rate!) / peak)} %` : '';
    return [
      [
        `${own.suite} ${own.case}`,
        own.threads === 0 ? '' : String(own.threads),
        time(own.min),
        time(own.median),
        own.rate === undefined
          ? ''
          : `${own.rate.toLocaleString('en-US', { maximumFractionDigits: 0 })} ${own.rateUnit}`,
        ...(peaks.size > 0 ? [share] : []),
        ...rivals.map((name) => {
          const rival = group.find(({ implementation }) => implementation === name);
          return rival === undefined ? '' : times(rival.min / own.min);
        }),
      ],
    ];
  });
  const note =
    rivals.length > 0
      ? '\n\nUnder a rival: its least time over tallow’s of the same run; above 1 tallow is the faster.'
      : '';
  return `${columns([head, ...rows])}${note}`;
}

/** The table of the most memory that the process of each case has held, the library itself included. */
export function memory(results: readonly Result[]): string {
  const measured = results.filter(({ peak }) => peak !== undefined && peak > 0);
  const names = [...new Set(measured.map(({ implementation }) => implementation))];
  const rows = byCase(measured).map((group) => [
    `${group[0]!.suite} ${group[0]!.case}`,
    String(group[0]!.threads),
    ...names.map((name) => group.find(({ implementation }) => implementation === name)?.peak?.toFixed(0) ?? ''),
  ]);
  return rows.length === 0 ? 'No memory was measured.' : columns([['peak memory, MiB', 'threads', ...names], ...rows]);
}

/** One line a rival: the median of its ratios. */
export function verdicts(results: readonly Result[]): string[] {
  const ratios = new Map<string, number[]>();
  for (const group of byCase(results)) {
    const own = group.find(({ implementation }) => implementation === 'tallow');
    for (const rival of group) {
      if (own === undefined || rival === own || rival.implementation === 'empty script') continue;
      ratios.set(rival.implementation, [...(ratios.get(rival.implementation) ?? []), rival.min / own.min]);
    }
  }
  return [...ratios].map(
    ([name, all]) =>
      `${name}: tallow is the faster in ${all.filter((r) => r > 1).length} of ${all.length} cases; median ratio ${times(median(all))}`,
  );
}
