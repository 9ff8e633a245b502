/**
 * Libraries that are only there if the program has them.
 *
 * @module
 */

/**
 * Loads one.
 *
 * @param does - what is done by it, as in `reads files`
 * @param refusal - the error that says so where it is missing
 */
export async function library<T>(
  name: string,
  does: string,
  load: () => Promise<T>,
  refusal: (message: string, cause: unknown) => Error,
): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && String(cause.code).includes('MODULE_NOT_FOUND');
    if (!missing) throw cause;
    throw refusal(`it ${does} by the package ${name}, which is not installed: npm install ${name}`, cause);
  }
}
