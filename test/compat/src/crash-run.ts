import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { plainNode } from '@lamella/test-support';
import { Lamella } from 'lamella';
import { judge, SLOT } from './crash-slots.js';

const WRITER = fileURLToPath(new URL('./crash-writer.js', import.meta.url));

/** What happened in one life of the writer. */
export interface CrashResult {
  /** Flushed writes that were looked for. */
  readonly flushed: number;
  /** Writes that had begun. */
  readonly begun: number;
  /** What is not as it was promised. */
  readonly problems: readonly string[];
}

/**
 * Lets a writer loose on an image, kills it some time after its first flush, opens the image and looks
 * for everything that was flushed.
 *
 * @param image - a disk of zeroes
 * @param cache - cache mode of the writer
 * @param seed - of what it writes
 * @param delay - milliseconds to let it live
 */
export async function crashOnce(
  image: string,
  format: string,
  cache: string,
  seed: number,
  delay: number,
): Promise<CrashResult> {
  const journal = `${image}.journal`;
  const fd = openSync(journal, 'w');
  const child = spawn(...plainNode(WRITER, image, format, `${seed}`, cache), {
    stdio: ['ignore', fd, 'inherit'],
  });
  closeSync(fd);
  const ended = new Promise<string | null>((resolve) =>
    child.once('exit', (_code, killedBy) => resolve(killedBy)),
  );
  const alive = () => child.exitCode === null && child.signalCode === null;
  while (alive() && !readFileSync(journal, 'latin1').includes('\nf ')) {
    await after(2);
  }
  await after(delay);
  child.kill('SIGKILL');
  const signal = await ended;
  const said = readFileSync(journal, 'latin1');
  if (signal !== 'SIGKILL') {
    return {
      flushed: 0,
      begun: 0,
      problems: [`the writer ended by itself: ${said.slice(0, 500)}`],
    };
  }
  return verify(image, format, said);
}

async function verify(image: string, format: string, said: string): Promise<CrashResult> {
  const flushed = new Map<number, number>();
  const begun = new Map<number, Set<number>>();
  let count = 0;
  // The last line may have been cut off by the kill.
  for (const line of said.split('\n').slice(0, -1)) {
    const [what, slotText, value] = line.split(' ');
    const slot = Number(slotText);
    if (what === 'b') {
      count += 1;
      const values = begun.get(slot) ?? new Set();
      begun.set(slot, values.add(Number(value)));
    } else if (what === 'f') {
      flushed.set(slot, Number(value));
    }
  }
  const problems: string[] = [];
  await using disk = await new Lamella().open(image, { format, writable: true });
  const bytes = Buffer.alloc(SLOT);
  for (let slot = 0; slot < Math.floor(disk.size / SLOT); slot += 1) {
    await disk.read(bytes, slot * SLOT);
    const problem = judge(bytes, slot, flushed.get(slot) ?? 0, begun.get(slot) ?? new Set());
    if (problem !== undefined) {
      problems.push(problem);
    }
  }
  return { flushed: flushed.size, begun: count, problems };
}

function after(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
