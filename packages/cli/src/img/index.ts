import { basename } from 'node:path';
import { Interruption } from '../command-line/interruption.js';
import { processOutput } from '../command-line/output.js';
import { Secrets } from '../command-line/secrets.js';
import { UnfinishedFiles } from '../command-line/unfinished-files.js';
import { splitDrivers } from '../drivers/arguments.js';
import { programLamella } from '../drivers/program-lamella.js';
import { registerDrivers } from '../drivers/register.js';
import { main } from './main.js';

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
  const unfinished = new UnfinishedFiles();
  const interruption = new Interruption(unfinished);
  interruption.listen();
  const lamella = programLamella();
  const session = {
    ...processOutput,
    name: basename(argv[1] ?? 'lamella-img'),
    secrets: new Secrets(),
    lamella,
    signal: interruption.signal,
    unfinished,
  };
  await registerDrivers(lamella, [...projectDrivers, ...drivers]);
  const code = await main(session, words);
  process.exitCode = interruption.exitCode ?? code;
}
