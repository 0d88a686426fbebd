import { basename } from 'node:path';
import { processOutput } from '../command-line/output.js';
import { Secrets } from '../command-line/secrets.js';
import { splitDrivers } from '../drivers/arguments.js';
import { programLamella } from '../drivers/program-lamella.js';
import { registerDrivers } from '../drivers/register.js';
import { main } from './main.js';

/** Time in ms in which signals count as one: some programs send them to a process and to its group. */
const ONE_SIGNAL = 500;

/** Exit code of a program that Ctrl-C has ended. */
const INTERRUPTED = 130;

/**
 * Runs `lamella-img` as this process.
 *
 * @param argv - as `process.argv`
 * @param projectDrivers - packages with drivers that the project wants
 */
export async function run(
  argv: readonly string[],
  projectDrivers: readonly string[],
): Promise<void> {
  const { words, drivers } = splitDrivers(argv.slice(2));
  const abort = new AbortController();
  process.on('SIGINT', () => interrupt(abort));
  const lamella = programLamella();
  const session = {
    ...processOutput,
    name: basename(argv[1] ?? 'lamella-img'),
    secrets: new Secrets(),
    lamella,
    signal: abort.signal,
  };
  await registerDrivers(lamella, [...projectDrivers, ...drivers]);
  const code = await main(session, words);
  process.exitCode = abort.signal.aborted ? INTERRUPTED : code;
}

let interruptedAt: number | undefined;

/** Ends what is under way and has it clean up; a second Ctrl-C ends the process there and then. */
function interrupt(abort: AbortController): void {
  const now = performance.now();
  if (interruptedAt !== undefined && now - interruptedAt > ONE_SIGNAL) {
    process.exit(INTERRUPTED);
  }
  interruptedAt ??= now;
  abort.abort();
}
