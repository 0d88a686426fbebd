import { type CommandLine, type ImageCommand, readCommandLine } from '../command.js';
import { CommandFailure, WrongUsage } from '../command-failure.js';
import { dump } from '../dump.js';
import { assertLength, assertSectors, readLengths, readNumber, readPattern } from '../numbers.js';
import type { OpenedImage } from '../opened-image.js';
import { carryOut, type Request } from '../requests.js';
import type { Shell } from '../shell.js';
import { type Expected, type ReadOutcome, rangeOf, readRange } from '../transfer.js';

const OPTIONS_OF_ALL = ` -C, -- report statistics in a machine parsable format`;

/** `read`. */
export const READ: ImageCommand = {
  name: 'read',
  alias: 'r',
  synopsis: '[-abCqrv] [-P pattern [-s off] [-l len]] off len',
  summary: 'reads a number of bytes at a specified offset',
  manual: `
 reads a range of bytes from the given offset

 Example:
 'read -v 512 1k' - dumps 1 kilobyte read from 512 bytes into the file

 Reads a segment of the currently open file, optionally dumping it to the
 standard output stream (with -v option) for subsequent inspection.
 -b, -- read from the VM state rather than the virtual disk
${OPTIONS_OF_ALL}
 -l, -- length for pattern verification (only with -P)
 -p, -- ignored for backwards compatibility
 -P, -- use a pattern to verify read data
 -q, -- quiet mode, do not show I/O statistics
 -r, -- register I/O buffer
 -s, -- start offset for pattern verification (only with -P)
 -v, -- dump buffer to standard output

`,
  words: [2],
  needs: 'image',
  async run(shell, words, image) {
    let pattern: number | undefined;
    let start: bigint | undefined;
    let part: bigint | undefined;
    const line = readCommandLine(shell, 'read', words, 'bCl:pP:qrs:v', (letter, value) => {
      if (letter === 'P') {
        pattern = readPattern(value);
      } else if (letter === 's') {
        start = readNumber(value, shell.warn);
      } else if (letter === 'l') {
        part = readNumber(value, shell.warn);
      }
    });
    const [offsetText = '', countText = '', ...others] = line.operands;
    if (countText === '' || others.length > 0) {
      throw new WrongUsage();
    }
    const offset = readNumber(offsetText, shell.warn);
    const bytes = readNumber(countText, shell.warn);
    assertLength(bytes, countText);
    if (pattern === undefined && (start !== undefined || part !== undefined)) {
      throw new WrongUsage();
    }
    start ??= 0n;
    part ??= bytes - start;
    if (part < 0n || start + part > bytes) {
      throw new CommandFailure('pattern verification range exceeds end of read data');
    }
    if (line.has('b')) {
      assertSectors(offset, bytes);
      throw new CommandFailure('read failed: Operation not supported');
    }
    const expected =
      pattern === undefined ? undefined : { pattern, start: Number(start), length: Number(part) };
    await carryOut(shell, readRequest(shell, image, line, { offset, bytes, expected }));
  },
};

/** `readv`. */
export const READV: ImageCommand = {
  name: 'readv',
  synopsis: '[-Cqrv] [-P pattern] off len [len..]',
  summary: 'reads a number of bytes at a specified offset',
  manual: `
 reads a range of bytes from the given offset into multiple buffers

 Example:
 'readv -v 512 1k 1k ' - dumps 2 kilobytes read from 512 bytes into the file

 Reads a segment of the currently open file, optionally dumping it to the
 standard output stream (with -v option) for subsequent inspection.
 Uses multiple iovec buffers if more than one byte range is specified.
${OPTIONS_OF_ALL}
 -P, -- use a pattern to verify read data
 -r, -- register I/O buffer
 -v, -- dump buffer to standard output
 -q, -- quiet mode, do not show I/O statistics

`,
  words: [2],
  needs: 'image',
  async run(shell, words, image) {
    const { line, ...what } = readVector(shell, 'readv', words, 'CP:qrv');
    await carryOut(shell, readRequest(shell, image, line, what, 'readv'));
  },
};

/** What a read is to do. */
interface ReadPlan {
  readonly offset: bigint;
  readonly bytes: bigint;
  readonly expected: Expected | undefined;
}

/** Takes the command line of a read into several buffers apart. */
export function readVector(
  shell: Shell,
  name: string,
  words: readonly string[],
  letters: string,
): ReadPlan & { readonly line: CommandLine } {
  let pattern: number | undefined;
  const line = readCommandLine(shell, name, words, letters, (letter, value) => {
    if (letter === 'P') {
      pattern = readPattern(value);
    }
  });
  const [offsetText, ...lengths] = line.operands;
  if (offsetText === undefined || lengths.length === 0) {
    throw new WrongUsage();
  }
  const offset = readNumber(offsetText, shell.warn);
  const bytes = readLengths(lengths, shell.warn);
  const expected = pattern === undefined ? undefined : { pattern, start: 0, length: Number(bytes) };
  return { line, offset, bytes, expected };
}

/** The request of a read command. */
export function readRequest(
  shell: Shell,
  image: OpenedImage,
  line: CommandLine,
  { offset, bytes, expected }: ReadPlan,
  action = 'read',
): Request {
  const quiet = line.has('q');
  const show = line.has('v') && !quiet;
  let outcome: ReadOutcome | undefined;
  return {
    what: 'read',
    action,
    offset,
    bytes,
    report: { quiet, machine: line.has('C') },
    async perform() {
      const range = rangeOf(image.disk, offset, bytes);
      await image.beforeRead(range.offset, range.length);
      outcome = await readRange(image.disk, range, expected, show);
    },
    inspect() {
      const matches = outcome?.matches ?? true;
      if (!matches && expected !== undefined) {
        const { start, length } = expected;
        shell.session.out(
          `Pattern verification failed at offset ${offset + BigInt(start)}, ${length} bytes\n`,
        );
      }
      if (outcome?.bytes !== undefined) {
        for (const lines of dump(outcome.bytes, offset)) {
          shell.session.out(lines);
        }
      }
      return matches;
    },
  };
}
