/**
 * Learning-rate schedules: functions from the step's number to the learning rate.
 *
 * @module
 */
import { native } from '../native.js';

/** A registered schedule: callable, and run without JavaScript when a loop uses it. */
export interface Schedule {
  /** The learning rate at a step. */
  (step: number): number;
}

const registered = new WeakMap<object, { readonly kind: string; readonly json: string }>();

/** A schedule of a registered kind. */
export function makeSchedule(kind: string, options: object): Schedule {
  const json = JSON.stringify(options);
  const schedule: Schedule = (step) => native.scheduleRate(kind, json, step);
  schedule(1); // Wrong options are an error here, not at the first step.
  registered.set(schedule, { kind, json });
  return schedule;
}

/** A schedule as a loop takes it. */
export function scheduleOf(schedule: Schedule | ((step: number) => number) | undefined): {
  readonly kind: string | undefined;
  readonly json: string;
  readonly rate: ((args: unknown[]) => unknown) | null;
} {
  const known = schedule === undefined ? undefined : registered.get(schedule);
  const rate = schedule === undefined || known !== undefined ? null : ([step]: unknown[]): unknown => schedule(step as number);
  return { kind: known?.kind, json: known?.json ?? '', rate };
}
