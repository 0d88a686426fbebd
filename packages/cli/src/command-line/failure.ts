/** What a {@link Failure} is beside its text. */
export interface FailureOptions {
  /** Of the program; 1 by default. */
  readonly exitCode?: number | undefined;
  /** The command line itself was wrong: point to the help. False by default. */
  readonly usage?: boolean | undefined;
  /** What ends the text; some of qemu-img's messages end in the middle of a line. */
  readonly lineEnd?: string | undefined;
}

/** A command that can't do what was asked: what to print, and the exit code. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: number;
  readonly usage: boolean;
  readonly lineEnd: string;

  /**
   * @param message - printed on standard error behind `PROGRAM: `
   */
  constructor(message: string, options: FailureOptions = {}) {
    super(message);
    this.exitCode = options.exitCode ?? 1;
    this.usage = options.usage ?? false;
    this.lineEnd = options.lineEnd ?? '\n';
  }
}

/** A mistake in the command line. */
export function wrongUsage(message: string): Failure {
  return new Failure(message, { usage: true });
}
