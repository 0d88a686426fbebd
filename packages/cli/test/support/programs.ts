import { outcome } from '@lamella/test-support';
import { Secrets } from '#internal/command-line/secrets.js';
import { programLamella } from '#internal/drivers/program-lamella.js';
import { main } from '#internal/img/main.js';

/** What a program printed, and how it ended. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Runs the installed qemu-img. */
export function runQemu(directory: string, words: readonly string[]): Outcome {
  const { stdout, stderr, status } = outcome('qemu-img', words, {
    cwd: directory,
    encoding: 'latin1',
    timeout: 30_000,
  });
  return { stdout: utf8(stdout), stderr: utf8(stderr), code: status ?? -1 };
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}

/**
 * Runs `lamella-img` by the name `qemu-img`, in this process but with everything of its own; a test of its
 * own runs the installed program.
 */
export async function runOurs(directory: string, words: readonly string[]): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const before = process.cwd();
  process.chdir(directory);
  try {
    const session = {
      name: 'qemu-img',
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
    const code = await main(session, words);
    return { stdout, stderr, code };
  } finally {
    process.chdir(before);
  }
}
