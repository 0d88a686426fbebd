import { CommanderError } from 'commander';
import { Failure } from '../../command-line/failure.js';
import { problemOfAny } from '../../messages/problem.js';
import type { Colours } from '../terminal/colours.js';
import { plainLines } from '../terminal/plain-text.js';
import { hintFor } from './hints.js';

/** What qemu-img says without a word about its help. */
const SOMETHING_IS_MISSING = /^(Expecting|Must specify) /;

/** What is printed about an error, and the exit code. */
export interface ErrorReport {
  readonly text: string;
  readonly exitCode: number;
}

/**
 * Tells what went wrong, and what to do.
 *
 * @param command - that was under way, if one was
 */
export function reportError(
  error: unknown,
  program: string,
  command: string | undefined,
  colours: Colours,
): ErrorReport {
  if (error instanceof CommanderError) {
    return { text: '', exitCode: error.exitCode };
  }
  const failure = error instanceof Failure ? error : new Failure(problemOfAny(error));
  const usage =
    failure.usage || SOMETHING_IS_MISSING.test(failure.message)
      ? `Try '${[program, command, '--help'].filter((word) => word !== undefined).join(' ')}'.`
      : undefined;
  const hint = hintFor(error) ?? usage;
  return {
    text: errorText(failure.message, hint, colours),
    exitCode: failure.exitCode,
  };
}

/** `error: …`, and below it `  fix: …`. */
export function errorText(message: string, hint: string | undefined, colours: Colours): string {
  const head = `${colours.bold(colours.red('error:'))} ${plainLines(message.trimEnd())}\n`;
  return hint === undefined
    ? head
    : `${head}${colours.bold(colours.cyan('  fix:'))} ${plainLines(hint)}\n`;
}
