/**
 * Options of trainers, optimizers and schedules, as the addon takes them.
 *
 * @module
 */

/** Options as JSON; NaN and infinities, which JSON takes for `null`, as the addon refuses them. */
export function optionsJson(options: object): string {
  return JSON.stringify(options, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? { $number: String(value) } : value,
  );
}
