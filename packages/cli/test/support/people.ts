import { Lamella } from 'lamella';
import type { Session } from '#internal/command-line/session.js';
import { main } from '#internal/people/main.js';
import { noColours } from '#internal/people/terminal/colours.js';
import { inProcess, type Outcome } from './in-process.js';

/** Runs `lamella` in this process, without a terminal. */
export function runPeople(
  directory: string,
  words: readonly string[],
  more: Partial<Session> = {},
): Promise<Outcome> {
  const style = { out: noColours, error: noColours, columns: 100 };
  const own = { name: 'lamella', lamella: new Lamella(), ...more };
  return inProcess(directory, own, (session) => main(session, words, style));
}
