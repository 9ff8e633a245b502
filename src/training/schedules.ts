/**
 * Learning-rate schedules: functions from the step's number to the learning rate.
 *
 * @module
 */
import { callable } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';
import { crossing } from '../layer/wire.js';

/** A learning-rate schedule: a function of the step's number, which a training loop runs without JavaScript. */
export interface Schedule {
  /** The learning rate at a step. */
  (step: number): number;
}

/** Registered schedules, as they cross: a kind and its options. */
const registered = new WeakMap<object, { readonly kind: string; readonly options: object }>();

/** A schedule of a registered kind. */
export function makeSchedule(kind: string, options: object): Schedule {
  // Options of schedules are numbers and strings: what crosses once may cross again.
  const known = withPlain(kind, options, (value) => {
    native.scheduleRate(kind, value, 1); // Wrong options are an error here, not at the first step.
    return { kind, options: value };
  });
  const schedule: Schedule = (step) => native.scheduleRate(kind, known.options, step);
  registered.set(schedule, known);
  return schedule;
}

/** A schedule as it crosses, and the function that must live as long as it is used, if it is one. */
export function scheduleOf(schedule: Schedule | ((step: number) => number) | undefined): {
  readonly value: object | null;
  readonly holder: object | null;
} {
  if (schedule === undefined) return { value: null, holder: null };
  const known = registered.get(schedule);
  if (known !== undefined) return { value: known, holder: null };
  callable('Trainer.fit: schedule', schedule);
  const called = ([step]: unknown[]): unknown => schedule(step as number);
  return { value: crossing(called, 1), holder: called };
}
