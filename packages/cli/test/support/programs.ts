import { spawnSync } from 'node:child_process';
import { Secrets } from '#internal/command-line/secrets.js';
import { programLamella } from '#internal/drivers/program-lamella.js';
import { main } from '#internal/img/main.js';

/** What a program printed, and how it ended. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** QEMU measures LUKS's iterations by CPU time, and gives up now and then where the clock is coarse. */
const COARSE_CLOCK = 'Unable to get accurate CPU usage';

/** Runs the installed qemu-img. */
export function runQemu(directory: string, words: readonly string[]): Outcome {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = runQemuOnce(directory, words);
    if (attempt === 10 || !outcome.stderr.includes(COARSE_CLOCK)) {
      return outcome;
    }
  }
}

function runQemuOnce(directory: string, words: readonly string[]): Outcome {
  const { stdout, stderr, status, error } = spawnSync('qemu-img', words, {
    cwd: directory,
    encoding: 'latin1',
    timeout: 30_000,
  });
  if (error !== undefined) {
    throw error;
  }
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
