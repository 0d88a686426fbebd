/** How far a long operation is. */
export interface Progress {
  /** Work done so far, in the operation's own unit: bytes, unless it says otherwise. */
  readonly done: number;
  /** All of the work; may still change while it goes on. */
  readonly total: number;
}

/** What every operation takes that can last. */
export interface LongOperation {
  /** Ends the operation between two steps with `ABORTED`; what was begun is cleaned up. */
  readonly signal?: AbortSignal | undefined;
  /** Called now and then, never more often than once a step; must not throw. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}
