import { outcome } from '@lamella/test-support';
import { programLamella } from '#internal/drivers/program-lamella.js';
import { main } from '#internal/img/main.js';
import { inProcess, type Outcome } from './in-process.js';

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
export function runOurs(directory: string, words: readonly string[]): Promise<Outcome> {
  const own = { name: 'qemu-img', lamella: programLamella() };
  return inProcess(directory, own, (session) => main(session, words));
}
