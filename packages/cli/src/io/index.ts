import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { processOutput } from '../command-line/output.js';
import { Secrets } from '../command-line/secrets.js';
import { complain } from '../command-line/session.js';
import { splitDrivers } from '../drivers/arguments.js';
import { programLamella } from '../drivers/program-lamella.js';
import { registerDrivers } from '../drivers/register.js';
import { VERSION } from '../version.js';
import { runIo } from './program.js';

/**
 * Runs `lamella-io` as this process.
 *
 * @param argv - as `process.argv`
 * @param projectDrivers - packages with drivers that the project wants
 */
export async function run(
  argv: readonly string[],
  projectDrivers: readonly string[],
): Promise<void> {
  const { words, drivers } = splitDrivers(argv.slice(2));
  const lamella = programLamella();
  await registerDrivers(lamella, [...projectDrivers, ...drivers]);
  const session = {
    ...processOutput,
    name: basename(argv[1] ?? 'lamella-io'),
    secrets: new Secrets(),
    lamella,
    signal: new AbortController().signal,
  };
  const stuck = (): void => {
    complain(session, 'a request waits at a breakpoint, and nothing is left that could resume it');
    process.exitCode = 1;
  };
  process.once('beforeExit', stuck);
  process.exitCode = await runIo(session, words, {
    version: VERSION,
    lines: () => createInterface({ input: process.stdin, terminal: false }),
  });
  process.off('beforeExit', stuck);
}
