import { CommandFailure } from './command-failure.js';
import { requestProblem } from './problem-text.js';
import { type ReportSettings, reportText } from './report.js';
import type { Shell } from './shell.js';

/** A request that is timed and reported. */
export interface Request {
  /** `read`, `wrote`, `discard`: begins the report. */
  readonly what: string;
  /** Begins the message of a failure: `read`, `write`. */
  readonly action: string;
  readonly offset: bigint;
  readonly bytes: bigint;
  readonly report: ReportSettings;
  /** Does it. */
  perform(): Promise<void>;
  /** Looks at and prints the result before the report; false for a wrong one. */
  inspect?(): boolean;
}

/**
 * Carries a request out and reports it.
 *
 * @throws CommandFailure
 */
export async function carryOut(shell: Shell, request: Request): Promise<void> {
  const { what, action, offset, bytes, report } = request;
  const start = performance.now();
  try {
    await request.perform();
  } catch (error) {
    throw new CommandFailure(`${action} failed: ${requestProblem(error)}`);
  }
  const milliseconds = performance.now() - start;
  const right = request.inspect?.() ?? true;
  shell.session.out(reportText({ what, offset, bytes, milliseconds }, report));
  if (!right) {
    throw new CommandFailure('');
  }
}

/** The same without waiting: failures are printed, and are nobody's fault. */
export async function carryOutLater(shell: Shell, request: Request): Promise<void> {
  try {
    await carryOut(shell, request);
  } catch (error) {
    if (!(error instanceof CommandFailure)) {
      throw error;
    }
    if (error.message !== '') {
      shell.session.out(`${error.message}\n`);
    }
  }
}
