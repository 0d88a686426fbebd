/** How long `lamella-img info` takes beside an empty Node.js program. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from './program.js';
import { median } from './stats.js';

const PROGRAM = fileURLToPath(new URL('../../packages/cli/bin/lamella-img.cjs', import.meta.url));
/** Each takes a tenth of a second, so there can be more of them. */
const RUNS_PER_ROUND = 5;

/** Prints medians in milliseconds; the programs take turns. */
export async function compareStartUp(folder: string, rounds: number): Promise<void> {
  const image = join(folder, 'start-up.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '1G']);
  const contenders = [
    { name: 'node -e 0', words: ['-e', '0'] },
    { name: 'lamella-img info', words: [PROGRAM, 'info', image] },
  ].map((contender) => ({ ...contender, times: [] as number[] }));
  for (let run = 0; run < rounds * RUNS_PER_ROUND; run += 1) {
    for (const { words, times } of contenders) {
      times.push((await runProgram(process.execPath, words)).seconds);
    }
  }
  const base = median(contenders[0]?.times ?? []);
  console.log('\nstart-up, whole processes');
  for (const { name, times } of contenders) {
    const time = median(times);
    console.log(
      `  ${name.padEnd(20)} ${(time * 1e3).toFixed(0).padStart(4)} ms (${(time / base).toFixed(2)})`,
    );
  }
}
