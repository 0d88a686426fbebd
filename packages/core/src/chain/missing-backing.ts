import type { Reference } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';

/** The error for a backing file that is not there. */
export function missingBacking(
  backing: Reference,
  location: string,
  namedBy: string,
  chain: readonly string[],
  cause: unknown,
): LamellaError {
  const leads = location === backing.location ? '' : ` (that is ${location})`;
  return new LamellaError(
    'NOT_FOUND',
    `its backing file '${backing.location}'${leads} does not exist`,
    {
      location: namedBy,
      chain,
      hint: "Restore the file, rebase the image, or open with references: 'skip' to do without it.",
      cause,
    },
  );
}

/** The same for a file that a backing image has beside it: its data file. */
export function missingBelow(
  { problem, location, hint, cause }: LamellaError,
  chain: readonly string[],
): LamellaError {
  return new LamellaError('NOT_FOUND', problem, { location, chain, hint, cause });
}
