import { basename } from 'node:path';
import { isatty } from 'node:tty';
import { Interruption } from '../command-line/interruption.js';
import { processOutput } from '../command-line/output.js';
import { Secrets } from '../command-line/secrets.js';
import { UnfinishedFiles } from '../command-line/unfinished-files.js';
import { splitDrivers } from '../drivers/arguments.js';
import { programLamella } from '../drivers/program-lamella.js';
import { registerDrivers } from '../drivers/register.js';
import { main } from './main.js';
import { ProgressBars } from './progress/progress-bars.js';
import { reportError } from './report/report.js';
import { coloursFor } from './terminal/colours.js';

const [STDOUT, STDERR] = [1, 2];
const DEFAULT_COLUMNS = 100;

/**
 * Runs `lamella` as this process.
 *
 * @param argv - as `process.argv`
 * @param projectDrivers - packages with drivers that the project wants
 */
export async function run(
  argv: readonly string[],
  projectDrivers: readonly string[],
): Promise<void> {
  const { words, drivers } = splitDrivers(argv.slice(2));
  const style = {
    out: coloursFor(STDOUT),
    error: coloursFor(STDERR),
    columns: (isatty(STDOUT) && process.stdout.columns) || DEFAULT_COLUMNS,
  };
  const bars = await makeBars(style.error);
  const unfinished = new UnfinishedFiles();
  const interruption = new Interruption(unfinished, () => bars?.stop());
  interruption.listen();
  const lamella = programLamella();
  const session = {
    out: (text: string) => {
      bars?.clear();
      processOutput.out(text);
    },
    error: (text: string) => {
      bars?.clear();
      processOutput.error(text);
    },
    name: basename(argv[1] ?? 'lamella', '.cjs'),
    secrets: new Secrets(),
    lamella,
    signal: interruption.signal,
    unfinished,
    showProgress: bars === undefined ? undefined : bars.start.bind(bars),
  };
  let code: number;
  try {
    await registerDrivers(lamella, [...projectDrivers, ...drivers]);
    code = await main(session, words, style);
  } catch (error) {
    // A package with drivers that is not there, or has none.
    const report = reportError(error, session.name, undefined, style.error);
    session.error(report.text);
    code = report.exitCode;
  }
  process.exitCode = interruption.exitCode ?? code;
}

/** Bars are for terminals that can draw them. */
async function makeBars(colours: ReturnType<typeof coloursFor>): Promise<ProgressBars | undefined> {
  if (!isatty(STDERR) || process.env.TERM === 'dumb') {
    return undefined;
  }
  const { default: library } = await import('cli-progress');
  return new ProgressBars(library, process.stderr, colours);
}
