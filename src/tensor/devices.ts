/**
 * The devices that compute: the CPU, and accelerators where the addon was built for them.
 *
 * @module
 */
import { native } from '../bridge/native.js';

/** A device that can be used. */
export interface DeviceInfo {
  /** What it is called wherever a device is asked for: `cpu`, `cuda:0`, `metal:0`. */
  readonly name: string;
  /** What computes there: the processor, or an accelerator by the interface it is reached by. */
  readonly kind: 'cpu' | 'cuda' | 'metal';
}

/**
 * Lists the devices that this build can use on this machine.
 *
 * It never throws: what is missing is not in the list. `npx tallow info` tells why.
 *
 * @returns The devices, the CPU first.
 * @example
 * ```ts
 * tl.devices()[0]; // → { name: 'cpu', kind: 'cpu' }
 * ```
 */
export function devices(): DeviceInfo[] {
  return native.devices();
}

/**
 * Tells the device on which tensors lie that are made without one, and weights that `init` makes.
 *
 * @returns Its name.
 * @see {@link setDefaultDevice}
 * @example
 * ```ts
 * tl.defaultDevice(); // → 'cpu'
 * ```
 */
export function defaultDevice(): string {
  return native.defaultDevice();
}

/**
 * Sets the device on which tensors lie that are made without one, and weights that `init` makes, in the whole process.
 *
 * What there is stays where it is; `to` of tensors and layers moves it. Random numbers are drawn on the CPU.
 *
 * @param device - Its name, as {@link devices} lists it.
 * @throws `RangeError`: no device is called so.
 * @throws {@link TensorError} `Device`: this build or this machine has no such device.
 * @example
 * ```ts
 * tl.setDefaultDevice('cpu');
 * tl.zeros([2]).device; // → 'cpu'
 * ```
 */
export function setDefaultDevice(device: string): void {
  native.setDefaultDevice(device);
}
