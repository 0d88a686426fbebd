import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** How a program ran. */
export interface ProgramRun {
  readonly seconds: number;
  /** Most memory that it had at once, in MiB; Linux only. */
  readonly peak: number;
}

/** Milliseconds between two looks at a program's memory. */
const LOOK = 20;

/** As the user has it, before this process widens its own thread pool: that would widen those of programs, too. */
const ENVIRONMENT = { ...process.env };

/** Runs a program to its end; its output is dropped. */
export async function runProgram(program: string, words: readonly string[]): Promise<ProgramRun> {
  const start = process.hrtime.bigint();
  const child = spawn(program, words, {
    env: ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, highWater(child.pid));
  }, LOOK);
  try {
    await new Promise<void>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) =>
        code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}`)),
      );
    });
  } finally {
    clearInterval(timer);
  }
  return { seconds: Number(process.hrtime.bigint() - start) / 1e9, peak };
}

/** The system keeps the highest value, so the last look tells all but the last moment. */
function highWater(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
