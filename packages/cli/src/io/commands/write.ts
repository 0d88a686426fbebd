import { readFileSync } from 'node:fs';
import { strerrorOf } from '../../messages/errno.js';
import { type CommandLine, type ImageCommand, readCommandLine } from '../command.js';
import { CommandFailure, WrongUsage } from '../command-failure.js';
import { assertLength, assertSectors, readLengths, readNumber, readPattern } from '../numbers.js';
import type { OpenedImage } from '../opened-image.js';
import { carryOut, type Request } from '../requests.js';
import type { Shell } from '../shell.js';
import { Fill, inPieces, rangeOf } from '../transfer.js';
import { writeCompressed } from '../write-compressed.js';

/** Byte that is written when none is given. */
const DEFAULT_PATTERN = 0xcd;

/** `write`. */
export const WRITE: ImageCommand = {
  name: 'write',
  alias: 'w',
  synopsis: '[-bcCfnqruz] [-P pattern | -s source_file] off len',
  summary: 'writes a number of bytes at a specified offset',
  manual: `
 writes a range of bytes from the given offset

 Example:
 'write 512 1k' - writes 1 kilobyte at 512 bytes into the open file

 Writes into a segment of the currently open file, using a buffer
 filled with a set pattern (0xcdcdcdcd).
 -b, -- write to the VM state rather than the virtual disk
 -c, -- write compressed data with blk_write_compressed
 -f, -- use Force Unit Access semantics
 -n, -- with -z, don't allow slow fallback
 -p, -- ignored for backwards compatibility
 -P, -- use different pattern to fill file
 -r, -- register I/O buffer
 -s, -- use a pattern file to fill the write buffer
 -C, -- report statistics in a machine parsable format
 -q, -- quiet mode, do not show I/O statistics
 -u, -- with -z, allow unmapping
 -z, -- write zeroes using blk_co_pwrite_zeroes

`,
  words: [2],
  needs: 'writable',
  async run(shell, words, image) {
    let pattern: number | undefined;
    const line = readCommandLine(shell, 'write', words, 'bcCfnpP:qrs:uz', (letter, value) => {
      if (letter === 'P') {
        pattern = readPattern(value);
      }
    });
    const [offsetText = '', countText = '', ...others] = line.operands;
    if (countText === '' || others.length > 0) {
      throw new WrongUsage();
    }
    assertCompatible(line);
    const zeroes = line.has('z');
    const offset = readNumber(offsetText, shell.warn);
    const bytes = readNumber(countText, shell.warn);
    if (!line.has('n')) {
      assertLength(bytes, countText, ' without -n');
    }
    if (line.has('b') || line.has('c')) {
      assertSectors(offset, bytes);
    }
    if (line.has('b')) {
      throw new CommandFailure('write failed: Operation not supported');
    }
    const source = line.value('s');
    const fill = source === undefined ? pattern : fillFromFile(source);
    await carryOut(shell, writeRequest(image, line, { offset, bytes, zeroes, fill }));
  },
};

/** `writev`. */
export const WRITEV: ImageCommand = {
  name: 'writev',
  synopsis: '[-Cfqr] [-P pattern] off len [len..]',
  summary: 'writes a number of bytes at a specified offset',
  manual: `
 writes a range of bytes from the given offset source from multiple buffers

 Example:
 'writev 512 1k 1k' - writes 2 kilobytes at 512 bytes into the open file

 Writes into a segment of the currently open file, using a buffer
 filled with a set pattern (0xcdcdcdcd).
 -P, -- use different pattern to fill file
 -C, -- report statistics in a machine parsable format
 -f, -- use Force Unit Access semantics
 -q, -- quiet mode, do not show I/O statistics
 -r, -- register I/O buffer

`,
  words: [2],
  needs: 'writable',
  async run(shell, words, image) {
    const { line, pattern } = readFillOptions(shell, 'writev', words, 'CfP:qr');
    const [offsetText, ...lengths] = line.operands;
    if (offsetText === undefined || lengths.length === 0) {
      throw new WrongUsage();
    }
    const offset = readNumber(offsetText, shell.warn);
    const bytes = readLengths(lengths, shell.warn);
    const plan = { offset, bytes, zeroes: false, fill: pattern };
    await carryOut(shell, writeRequest(image, line, plan, 'writev'));
  },
};

/** Options of a write, with the pattern among them. */
export function readFillOptions(
  shell: Shell,
  name: string,
  words: readonly string[],
  letters: string,
): { readonly line: CommandLine; readonly pattern: number | undefined } {
  let pattern: number | undefined;
  const line = readCommandLine(shell, name, words, letters, (letter, value) => {
    if (letter === 'P') {
      pattern = readPattern(value);
    }
  });
  return { line, pattern };
}

function assertCompatible(line: CommandLine): void {
  const problems: readonly (readonly [boolean, string])[] = [
    [line.has('b') && line.has('z'), '-b and -z cannot be specified at the same time'],
    [
      line.has('f') && (line.has('b') || line.has('c')),
      '-f and -b or -c cannot be specified at the same time',
    ],
    [line.has('n') && !line.has('z'), '-n requires -z to be specified'],
    [line.has('u') && !line.has('z'), '-u requires -z to be specified'],
    [
      ['z', 'P', 's'].filter((letter) => line.has(letter)).length > 1,
      'Only one of -z, -P, and -s can be specified at the same time',
    ],
  ];
  for (const [wrong, message] of problems) {
    if (wrong) {
      throw new CommandFailure(message);
    }
  }
}

function fillFromFile(path: string): Fill {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new CommandFailure(`${path}: ${strerrorOf(error) ?? String(error)}`, 'error');
  }
  if (bytes.length === 0) {
    throw new CommandFailure(`${path}: file is empty`, 'error');
  }
  return new Fill(bytes);
}

/** What a write is to do. */
interface WritePlan {
  readonly offset: bigint;
  readonly bytes: bigint;
  readonly zeroes: boolean;
  /** A byte, or more of them. */
  readonly fill: number | Fill | undefined;
}

/** The request of a write command. */
export function writeRequest(
  image: OpenedImage,
  line: CommandLine,
  { offset, bytes, zeroes, fill }: WritePlan,
  action = 'write',
): Request {
  const source = fill instanceof Fill ? fill : new Fill(Buffer.of(fill ?? DEFAULT_PATTERN));
  return {
    what: 'wrote',
    action,
    offset,
    bytes,
    report: { quiet: line.has('q'), machine: line.has('C') },
    async perform() {
      const { disk } = image;
      const range = rangeOf(disk, offset, bytes);
      if (zeroes) {
        const options = { unmap: line.has('u'), fallback: !line.has('n') };
        await disk.writeZeroes(range.offset, range.length, options);
      } else if (line.has('c')) {
        await writeCompressed(disk, range, source);
      } else {
        await inPieces(range.length, (start, length) =>
          disk.write(source.bytes(start, length), range.offset + start),
        );
      }
      await image.settle(line.has('f'));
    },
  };
}
