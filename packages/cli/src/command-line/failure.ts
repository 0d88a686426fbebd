/** A command that can't do what was asked: what to print, and the exit code. */
export class Failure extends Error {
  override readonly name = 'Failure';

  /**
   * @param message - printed on standard error behind `PROGRAM: `; several lines are printed as they are,
   * nothing at all for an empty text
   * @param exitCode - of the program
   * @param usage - the command line itself was wrong: point to the help
   */
  constructor(
    message: string,
    readonly exitCode = 1,
    readonly usage = false,
  ) {
    super(message);
  }
}

/** A mistake in the command line. */
export function wrongUsage(message: string): Failure {
  return new Failure(message, 1, true);
}
