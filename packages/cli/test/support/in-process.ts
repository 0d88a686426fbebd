import { Secrets } from '#internal/command-line/secrets.js';
import type { Session } from '#internal/command-line/session.js';

/** What a program printed, and how it ended. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/**
 * Runs a program in this process and in a directory, with everything of its own.
 *
 * @param own - of the session: the program's name, its library, and what is to be another than usual
 */
export async function inProcess(
  directory: string,
  own: Pick<Session, 'name' | 'lamella'> & Partial<Session>,
  program: (session: Session) => Promise<number>,
): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const before = process.cwd();
  process.chdir(directory);
  try {
    const code = await program({
      out(text: string) {
        stdout += text;
      },
      error(text: string) {
        stderr += text;
      },
      secrets: new Secrets(),
      signal: new AbortController().signal,
      ...own,
    });
    return { stdout, stderr, code };
  } finally {
    process.chdir(before);
  }
}
