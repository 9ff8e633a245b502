import { Refusal } from './run.mjs';

/** A case as the table calls it. */
const key = ({ suite, case: name, threads }) => `${suite} ${name}${threads === 0 ? '' : ` (${threads})`}`;

/**
 * A table of two builds measured in turns, and the cases in which ours takes more than `limit` times the time of the other. The shortest time of
 * each is compared, as it is what others disturbed least.
 *
 * @param {readonly { suite: string, case: string, threads: number, implementation: string, min: number }[]} results
 * @param {number} limit
 * @returns {{ page: string, slower: string[] }}
 */
export function comparison(results, limit) {
  const of = (implementation) =>
    new Map(results.filter((one) => one.implementation === implementation).map((one) => [key(one), one.min]));
  const [ours, others] = [of('tallow'), of('beside')];
  const both = [...ours.keys()].filter((name) => others.has(name));
  if (both.length === 0) throw new Refusal('no case was measured with both builds: npm run bench -- --beside <file>');
  const ratios = both.map((name) => ({ name, before: others.get(name), now: ours.get(name) }));
  const rows = ratios.map(({ name, before, now }) => {
    const ratio = now / before;
    return `| ${name} | ${before.toFixed(2)} | ${now.toFixed(2)} | ${ratio.toFixed(2)}${ratio > limit ? ' **slower**' : ''} |`;
  });
  const head = ['| case (threads) | before, ms | now, ms | now / before |', '|---|---|---|---|'];
  return {
    page: `${[...head, ...rows].join('\n')}\n`,
    slower: ratios.filter(({ before, now }) => now / before > limit).map(({ name }) => name),
  };
}
