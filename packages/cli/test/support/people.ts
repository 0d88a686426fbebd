import { Lamella } from 'lamella';
import { Secrets } from '#internal/command-line/secrets.js';
import type { Session } from '#internal/command-line/session.js';
import { main } from '#internal/people/main.js';
import { noColours } from '#internal/people/terminal/colours.js';
import type { Outcome } from './programs.js';

/** Runs `lamella` in this process, without a terminal. */
export async function runPeople(
  directory: string,
  words: readonly string[],
  more: Partial<Session> = {},
): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const before = process.cwd();
  process.chdir(directory);
  try {
    const session = {
      name: 'lamella',
      out(text: string) {
        stdout += text;
      },
      error(text: string) {
        stderr += text;
      },
      secrets: new Secrets(),
      lamella: new Lamella(),
      signal: new AbortController().signal,
      ...more,
    };
    const style = { out: noColours, error: noColours, columns: 100 };
    const code = await main(session, words, style);
    return { stdout, stderr, code };
  } finally {
    process.chdir(before);
  }
}
