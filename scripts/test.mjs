import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { codegen, javascript, lint, reference, rust, types } from './lib/checks.mjs';
import { needCargo } from './lib/needs.mjs';
import { figures, report } from './lib/report.mjs';
import { main, red, Refusal } from './lib/run.mjs';

const parts = { lint, codegen: [codegen], rust, types: [types, reference], js: [javascript()] };
const names = Object.keys(parts).join(', ');

const help = `npm test -- [options]

Installs and builds what is missing or stale, then runs every check and closes with \`N passed, N failed, N skipped\`.
Each Rust and each TypeScript test counts as one; so does each golden and each conformance case, and each lint, type or
code-generation check. What is not run is skipped, and no pass.

  --only <parts>  comma-separated: ${names}
  --help          this text`;

function choose(only) {
  if (only === undefined) return Object.values(parts).flat();
  const wanted = only.split(',');
  const unknown = wanted.find((name) => !Object.hasOwn(parts, name));
  if (unknown !== undefined) throw new Refusal(`--only takes ${names}; \`${unknown}\` is none of them`);
  return wanted.flatMap((name) => parts[name]);
}

async function test(only) {
  const checks = choose(only);
  await needCargo();
  try {
    await build();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(red(error.message));
    console.log(figures({ passed: 0, failed: 1 }, true));
    return 1;
  }
  const total = await report(checks);
  console.log(figures(total, true));
  return total.failed > 0 ? 1 : 0;
}

await main(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  return test(values.only);
});
