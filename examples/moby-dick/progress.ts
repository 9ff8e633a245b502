/** How the program shows numbers on its way. */

/** `4_321` as "4.3k". */
export const short = (n: number): string =>
  n < 1000 ? n.toFixed(0) : n < 100_000 ? `${(n / 1000).toFixed(1)}k` : `${(n / 1000).toFixed(0)}k`;

/** `95` as "1:35". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
