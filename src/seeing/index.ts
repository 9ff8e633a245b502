/**
 * Looking into models: what they are made of, where time and memory go, where a number stops being one, whether gradients are right.
 *
 * @module
 */
export { checkGradients, type CheckGradientsOptions, type GradientCheck } from './gradients.js';
export { firstNotFinite, type NotFinite, type NotFiniteOptions } from './notFinite.js';
export { type HostTrip, type Profile, profile, type ProfileRow } from './profile.js';
export { Summary, summary, type SummaryOptions, type SummaryRow } from './summary.js';
