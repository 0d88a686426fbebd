import type { Lamella } from 'lamella';
import type { Output } from './output.js';
import type { Secrets } from './secrets.js';

/** One run of a program: what all of its parts share. */
export interface Session extends Output {
  /** Name that the program was called by; every message begins with it. */
  readonly name: string;
  /** Secrets that `--object` defined. */
  readonly secrets: Secrets;
  /** The library, set up with the project's drivers. */
  readonly lamella: Lamella;
  /** Fires when the user presses Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Prints a message as `NAME: text`. */
export function complain(session: Session, text: string): void {
  session.error(`${session.name}: ${text}\n`);
}
