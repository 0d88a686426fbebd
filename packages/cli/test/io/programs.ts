import { outcome } from '@lamella/test-support';
import { programLamella } from '#internal/drivers/program-lamella.js';
import { runIo } from '#internal/io/program.js';
import { inProcess, type Outcome } from '../support/in-process.js';

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
export function runOurs(
  directory: string,
  words: readonly string[],
  input: string,
): Promise<Outcome> {
  const own = { name: 'qemu-io', lamella: programLamella() };
  return inProcess(directory, own, (session) =>
    runIo(session, words, { version: '0', lines: () => linesOf(input) }),
  );
}

async function* linesOf(text: string): AsyncGenerator<string, void, undefined> {
  if (text !== '') {
    yield* text.replace(/\n$/, '').split('\n');
  }
}
