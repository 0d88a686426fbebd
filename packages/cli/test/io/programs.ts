import { outcome } from '@lamella/test-support';
import { Secrets } from '#internal/command-line/secrets.js';
import { programLamella } from '#internal/drivers/program-lamella.js';
import { runIo } from '#internal/io/program.js';

/** What a program printed, and how it ended. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Runs the installed qemu-io. */
export function runQemu(directory: string, words: readonly string[], input: string): Outcome {
  const { stdout, stderr, status } = outcome('qemu-io', words, {
    cwd: directory,
    input,
    timeout: 30_000,
  });
  return { stdout, stderr, code: status ?? -1 };
}

/** Runs `lamella-io` by the name `qemu-io`, in this process but with everything of its own. */
export async function runOurs(
  directory: string,
  words: readonly string[],
  input: string,
): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const before = process.cwd();
  process.chdir(directory);
  try {
    const session = {
      name: 'qemu-io',
      out(text: string) {
        stdout += text;
      },
      error(text: string) {
        stderr += text;
      },
      secrets: new Secrets(),
      lamella: programLamella(),
      signal: new AbortController().signal,
    };
    const code = await runIo(session, words, { version: '0', lines: () => linesOf(input) });
    return { stdout, stderr, code };
  } finally {
    process.chdir(before);
  }
}

async function* linesOf(text: string): AsyncGenerator<string, void, undefined> {
  if (text !== '') {
    yield* text.replace(/\n$/, '').split('\n');
  }
}
