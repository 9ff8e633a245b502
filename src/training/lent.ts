/**
 * Batches that are lent to a trainer.
 *
 * @module
 */

/** Marks an iterable whose batches belong to it: who reads them does not dispose them. */
export const LENT: unique symbol = Symbol('lent');

/** Whether batches belong to what gives them. */
export const areLent = (batches: object): boolean => LENT in batches;
