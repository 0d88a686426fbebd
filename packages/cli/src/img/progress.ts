import type { Progress } from 'lamella';
import { decimals } from '../command-line/decimals.js';
import type { ProgressDisplay, Session, Task } from '../command-line/session.js';

/** Smallest step that is shown, in percent. */
const STEP = 0.01;

/** What the options of a command say of progress. */
interface Wishes {
  readonly progress?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

/**
 * The progress display of a command: the line of `-p` where that is given, what the program shows of its own
 * accord otherwise, and nothing with `-q`.
 */
export function progressOf(
  session: Session,
  { progress = false, quiet = false }: Wishes,
  task: Task,
): ProgressDisplay {
  if (quiet) {
    return NOTHING;
  }
  return progress ? new ProgressLine(session) : (session.showProgress?.(task) ?? NOTHING);
}

const NOTHING: ProgressDisplay = { update() {}, finish() {}, end() {} };

/** The progress line of `-p`: `    (12.50/100%)`, written over and over. */
class ProgressLine implements ProgressDisplay {
  readonly #session: Session;
  #shown = Number.NEGATIVE_INFINITY;

  /** Begins at 0. */
  constructor(session: Session) {
    this.#session = session;
    this.#show(0);
  }

  readonly update = ({ done, total }: Progress): void => {
    const percent = total === 0 ? 100 : (done * 100) / total;
    if (percent - this.#shown >= STEP) {
      this.#show(percent);
    }
  };

  finish(): void {
    this.#show(100);
    this.end();
  }

  end(): void {
    this.#session.out('\n');
  }

  #show(percent: number): void {
    this.#shown = percent;
    this.#session.out(`    (${decimals(percent, 2)}/100%)\r`);
  }
}
