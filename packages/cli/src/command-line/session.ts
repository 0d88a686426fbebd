import type { Lamella, Progress } from 'lamella';
import type { Output } from './output.js';
import type { Secrets } from './secrets.js';
import type { UnfinishedFiles } from './unfinished-files.js';

/** Shows how far an operation is. */
export interface ProgressDisplay {
  /** For `onProgress`. */
  readonly update: (progress: Progress) => void;
  /** Shows that all is done, and ends the display. */
  finish(): void;
  /** Ends the display where it is. */
  end(): void;
}

/** What is under way. */
export interface Task {
  /** In a word or two: `convert`. */
  readonly title: string;
  /** What progress counts; bytes by default. */
  readonly unit?: 'bytes' | 'steps' | undefined;
}

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
  /** Shows progress though nobody asked for it; nothing does so by default. */
  readonly showProgress?: ((task: Task) => ProgressDisplay) | undefined;
  /** Files that are being made; see {@link UnfinishedFiles}. */
  readonly unfinished?: UnfinishedFiles | undefined;
}

/** Prints a message as `NAME: text`. */
export function complain(session: Session, text: string): void {
  session.error(`${session.name}: ${text}\n`);
}
