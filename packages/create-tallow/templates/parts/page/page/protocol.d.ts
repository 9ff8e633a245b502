/** What the page and the process behind it say to each other. */

/** What the page asks for. */
export type Command =
  | { readonly type: 'train' | 'pause' | 'save' }
  | {
      readonly type: 'write';
      readonly id: number;
      readonly prompt: string;
      readonly temperature: number;
      /** The same seed draws the same text. */
      readonly seed: number;
    }
  | { readonly type: 'stop'; readonly id: number };

/** What happens. */
export type LabEvent =
  | {
      readonly type: 'ready';
      /** Whether the page can train; a server shows a model that is trained. */
      readonly canTrain: boolean;
      readonly training: boolean;
      readonly step: number;
      readonly steps: number;
      readonly losses: readonly (readonly [step: number, loss: number])[];
    }
  | { readonly type: 'step'; readonly step: number; readonly loss: number; readonly perSecond: number }
  | { readonly type: 'paused'; readonly step: number }
  | { readonly type: 'text'; readonly id: number; readonly text: string }
  | { readonly type: 'written'; readonly id: number }
  | { readonly type: 'saved'; readonly path: string }
  | { readonly type: 'failed'; readonly message: string }
  /** The process ended and was started again; `ready` follows. */
  | { readonly type: 'restarted'; readonly code: number }
  /** The process ended and is not started again. */
  | { readonly type: 'gone'; readonly code: number };

/** The way to the process. */
export interface Lab {
  send(command: Command): void;
  onEvent(listener: (event: LabEvent) => void): void;
}

declare global {
  interface Window {
    /** Made by the preload script of the desktop app; a browser has none. */
    readonly lab?: Lab;
  }
}
