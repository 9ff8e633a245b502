import { dim, duration, green, red } from './run.mjs';

/** "3 passed, 0 failed", with those skipped if there are any or `always`. */
export const figures = ({ passed, failed, skipped = 0 }, always = false) =>
  `${passed} passed, ${failed} failed${skipped > 0 || always ? `, ${skipped} skipped` : ''}`;

/** What a check found that is a command: it passed if it ended well, else what it wrote is worth showing. */
export const outcome = ({ code, output }) =>
  code === 0 ? { passed: 1, failed: 0, output: '' } : { passed: 0, failed: 1, output };

/** Runs checks one after another, with a line and the output worth showing for each; resolves to how many tests passed, failed and were skipped. */
export async function report(checks) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const check of checks) {
    const start = performance.now();
    const { output, ...result } = await check.run();
    if (output) console.log(output.trimEnd());
    const mark = result.failed > 0 ? red('✗') : green('✓');
    console.log(`${mark} ${check.name}: ${figures(result)} ${dim(duration(performance.now() - start))}`);
    for (const key of Object.keys(total)) total[key] += result[key] ?? 0;
  }
  return total;
}
