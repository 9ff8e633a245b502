/**
 * Learning-rate schedules: functions from the step's number to the learning rate.
 *
 * @module
 */
import { callable } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { plainJson } from '../layer/construct.js';

/** A learning-rate schedule: a function of the step's number, which a training loop runs without JavaScript. */
export interface Schedule {
  /** The learning rate at a step. */
  (step: number): number;
}

const registered = new WeakMap<object, { readonly kind: string; readonly json: string }>();

/** A schedule of a registered kind. */
export function makeSchedule(kind: string, options: object): Schedule {
  const json = plainJson(kind, options);
  const schedule: Schedule = (step) => native.scheduleRate(kind, json, step);
  schedule(1); // Wrong options are an error here, not at the first step.
  registered.set(schedule, { kind, json });
  return schedule;
}

/** A schedule as a loop takes it: a registered one as its kind and options, any other as the function. */
export function scheduleOf(schedule: Schedule | ((step: number) => number) | undefined): {
  readonly registered: [kind: string, options: string] | null;
  readonly rate: ((args: unknown[]) => unknown) | null;
} {
  const known = schedule === undefined ? undefined : registered.get(schedule);
  if (known !== undefined) return { registered: [known.kind, known.json], rate: null };
  if (schedule !== undefined) callable('Trainer.fit: schedule', schedule);
  return {
    registered: null,
    rate: schedule === undefined ? null : ([step]: unknown[]): unknown => schedule(step as number),
  };
}
