import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { comparison } from './lib/comparison.mjs';
import { main, Refusal } from './lib/run.mjs';

const help = `npm run bench:compare -- [options]

Holds tallow against the other build in the results of \`npm run bench -- --beside <dist/index.js of the other>\`: a table in Markdown, and a failure where
tallow takes longer than it may. Both were measured in turns on one machine, so the ratio says more than either time.

  --results <file>  what npm run bench wrote (runs/bench/results.json)
  --limit <ratio>   the most that tallow may take of the other's time (1.25)
  --out <file>      also writes the table there
  --help            this text`;

await main(async () => {
  const { values } = parseArgs({
    options: {
      results: { type: 'string', default: 'runs/bench/results.json' },
      limit: { type: 'string', default: '1.25' },
      out: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void console.log(help);
  const limit = Number(values.limit);
  if (!(limit >= 1)) throw new Refusal(`--limit must be a number of at least 1, got ${values.limit}`);
  const { page, slower } = comparison(JSON.parse(readFileSync(values.results, 'utf8')).results, limit);
  console.log(page);
  if (values.out) writeFileSync(values.out, page);
  if (slower.length > 0) throw new Refusal(`slower than ${limit} times the other build: ${slower.join(', ')}`);
});
