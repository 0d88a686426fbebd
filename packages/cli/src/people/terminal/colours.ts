import { isatty } from 'node:tty';
import pico from 'picocolors';

/** Functions that colour texts, or leave them as they are. */
export type Colours = ReturnType<typeof pico.createColors>;

/**
 * Whether what is written to a file descriptor is to have colours: on a terminal, unless `NO_COLOR` is set;
 * anywhere with `FORCE_COLOR`. (The library looks at standard output only, and takes CI for a terminal.)
 *
 * @param fd - 1 or 2
 */
export function wantsColours(
  fd: number,
  env: NodeJS.ProcessEnv = process.env,
  terminal: boolean = isatty(fd),
): boolean {
  const { NO_COLOR: no = '', FORCE_COLOR: force, TERM: term } = env;
  if (no !== '') {
    return false;
  }
  if (force !== undefined) {
    return force !== '0' && force !== 'false';
  }
  return terminal && term !== 'dumb';
}

/** The colours for a file descriptor. */
export function coloursFor(fd: number): Colours {
  return pico.createColors(wantsColours(fd));
}

/** Texts as they are. */
export const noColours: Colours = pico.createColors(false);
