import { fileURLToPath } from 'node:url';
import { type ProgramRun, runProgram } from './program.js';
import { median } from './stats.js';

/** The program as it is installed: bundle and compile cache included. */
const PROGRAM = fileURLToPath(new URL('../../packages/cli/bin/lamella-img.cjs', import.meta.url));

/**
 * Prints a line of how long a command line takes by `lamella-img` and by `qemu-img`, as whole processes: medians
 * in seconds, their ratio, peaks of memory in MiB. The programs take turns, so that a slow moment of the machine
 * hits both.
 *
 * @param prepare - makes what a run needs, before each
 */
export async function runSideBySide(
  name: string,
  words: readonly string[],
  rounds: number,
  prepare: () => Promise<void>,
): Promise<void> {
  const contenders = [
    { program: process.execPath, words: [PROGRAM, ...words], runs: [] as ProgramRun[] },
    { program: 'qemu-img', words, runs: [] as ProgramRun[] },
  ];
  for (let round = 0; round < rounds; round += 1) {
    // Each begins as often: whoever comes second may find the memory that the other has just given back.
    const order = round % 2 === 0 ? contenders : contenders.toReversed();
    for (const { program, words: all, runs } of order) {
      await prepare();
      runs.push(await runProgram(program, all));
    }
  }
  const [ours, theirs] = contenders.map(({ runs }) => median(runs.map((run) => run.seconds)));
  const peaks = contenders.map(({ runs }) => Math.max(...runs.map(({ peak }) => peak)).toFixed(0));
  console.log(
    `${name.padEnd(16)}${ours?.toFixed(2).padStart(12)}${theirs?.toFixed(2).padStart(10)}` +
      `  ${((ours ?? Number.NaN) / (theirs ?? 1)).toFixed(2).padStart(5)}  ${peaks.join(' and ')}`,
  );
}

/** Prints what the columns of {@link runSideBySide} are. */
export function printColumns(): void {
  console.log(
    `${''.padEnd(16)}${'lamella-img'.padStart(12)}${'qemu-img'.padStart(10)}  ratio  peak memory, MiB`,
  );
}
