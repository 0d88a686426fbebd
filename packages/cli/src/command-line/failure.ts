/** What a {@link Failure} is beside its text. */
export interface FailureOptions {
  /** Of the program; 1 by default. */
  readonly exitCode?: number | undefined;
  /** The command line itself was wrong: point to the help. False by default. */
  readonly usage?: boolean | undefined;
  /** What ends the text; some of qemu-img's messages end in the middle of a line. */
  readonly lineEnd?: string | undefined;
  /** The error of the library behind it, which may know what to do. */
  readonly cause?: unknown;
  /** A word that is none of those which make sense here. */
  readonly misspelt?: Misspelt | undefined;
  /** What to do about it, for programs that tell. */
  readonly hint?: string | undefined;
}

/** A word that was not understood, and those that would have been. */
export interface Misspelt {
  readonly word: string;
  readonly known: readonly string[];
}

/** A command that can't do what was asked: what to print, and the exit code. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: number;
  readonly usage: boolean;
  readonly lineEnd: string;
  readonly misspelt: Misspelt | undefined;
  readonly hint: string | undefined;

  /**
   * @param message - printed on standard error behind `PROGRAM: `
   */
  constructor(message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
    this.usage = options.usage ?? false;
    this.lineEnd = options.lineEnd ?? '\n';
    this.misspelt = options.misspelt;
    this.hint = options.hint;
  }
}

/** A mistake in the command line. */
export function wrongUsage(message: string): Failure {
  return new Failure(message, { usage: true });
}

/** The error behind a failure that is told anew in a longer text. */
export function causeOf(error: unknown): unknown {
  return error instanceof Failure ? (error.cause ?? error) : error;
}
