import type { Progress } from 'lamella';
import type { Session } from '../command-line/session.js';

/** Smallest step that is shown, in percent. */
const STEP = 0.01;

/** The progress line of `-p`: `    (12.50/100%)`, written over and over. */
export class ProgressLine {
  readonly #session: Session;
  readonly #enabled: boolean;
  #shown = Number.NEGATIVE_INFINITY;

  /** Begins at 0 if `enabled`; shows nothing ever otherwise. */
  constructor(session: Session, enabled: boolean) {
    this.#session = session;
    this.#enabled = enabled;
    this.#show(0);
  }

  /** For `onProgress`. */
  readonly update = ({ done, total }: Progress): void => {
    const percent = total === 0 ? 100 : (done * 100) / total;
    if (percent - this.#shown >= STEP) {
      this.#show(percent);
    }
  };

  /** Shows that all is done, and ends the line. */
  finish(): void {
    this.#show(100);
    this.end();
  }

  /** Ends the line where it is. */
  end(): void {
    if (this.#enabled) {
      this.#session.out('\n');
    }
  }

  #show(percent: number): void {
    this.#shown = percent;
    if (this.#enabled) {
      this.#session.out(`    (${percent.toFixed(2)}/100%)\r`);
    }
  }
}
