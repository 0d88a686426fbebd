import { writeSync } from 'node:fs';

/**
 * Where a program writes. Everything is written at once and in order, by whole texts: a stream object for
 * standard output costs more to set up than most commands take.
 */
export interface Output {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  error(text: string): void;
}

/** Standard output and standard error of this process. */
export const processOutput: Output = {
  out: (text) => writeAll(1, text),
  error: (text) => writeAll(2, text),
};

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      // A pipe that was made non-blocking by somebody and is full.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) {
        throw error;
      }
    }
  }
}
