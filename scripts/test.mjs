import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { codegen, javascript, lint, reference, rust, types } from './lib/checks.mjs';
import { needCargo } from './lib/needs.mjs';
import { dim, duration, green, main, red, Refusal } from './lib/run.mjs';

const parts = { lint, codegen: [codegen], rust: [rust], types: [types, reference], js: [javascript] };
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
  const total = { passed: 0, failed: 0, skipped: 0 };
  try {
    await build();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(red(error.message));
    total.failed += 1;
  }
  for (const check of total.failed > 0 ? [] : checks) {
    const start = performance.now();
    const { passed, failed, skipped = 0, output } = await check.run();
    const figures = `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`;
    if (output) console.log(output.trimEnd());
    console.log(
      `${failed > 0 ? red('✗') : green('✓')} ${check.name}: ${figures} ${dim(duration(performance.now() - start))}`,
    );
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed > 0 ? 1 : 0;
}

await main(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  return test(values.only);
});
