/** Whether what is shown is what came. */

const NUMBER = String.raw`-?\d+(?:\.\d+)?(?:e[+-]?\d+)?`;
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

/** White space counts as one blank, and as none inside of brackets. */
const plain = (text) =>
  text
    .replace(/\s+/g, ' ')
    .replace(/([[{]) | (?=[\]}])/g, '$1')
    .trim();

/** Whether a number rounds to the one that is shown, to as many digits as that has. */
function rounds(shown, came) {
  if (shown === came) return true;
  const [digits, exponent] = shown.split('e');
  const places = digits.split('.')[1]?.length ?? 0;
  if (exponent !== undefined) return Number(Number(came).toExponential(places)) === Number(shown);
  return places > 0 && Number(Number(came).toFixed(places)) === Number(shown);
}

/**
 * Whether a text is the one that is shown. Numbers with decimals are shown rounded, `…` stands for anything, and how lines
 * are broken does not count.
 */
export function isShown(shown, came) {
  const parts = plain(shown).split(new RegExp(`(${NUMBER}|…)`));
  const pattern = parts
    .map((part, i) => (i % 2 === 0 ? escaped(part) : part === '…' ? '[^]*' : `(${NUMBER})`))
    .join('');
  const found = new RegExp(`^${pattern}$`).exec(plain(came));
  const numbers = parts.filter((part, i) => i % 2 === 1 && part !== '…');
  return found !== null && numbers.every((number, i) => rounds(number, found[i + 1]));
}
