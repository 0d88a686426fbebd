import type { Disk } from 'lamella';
import { type CommandLine, type ImageCommand, readCommandLine } from '../command.js';
import { CommandFailure, WrongUsage } from '../command-failure.js';
import { assertLength, readNumber, SECTOR } from '../numbers.js';
import type { OpenedImage } from '../opened-image.js';
import { requestProblem } from '../problem-text.js';
import { carryOut, type Request } from '../requests.js';
import type { Shell } from '../shell.js';
import { sizeText } from '../sizes.js';
import { rangeOf } from '../transfer.js';

/** `discard`. */
export const DISCARD: ImageCommand = {
  name: 'discard',
  alias: 'd',
  synopsis: '[-Cq] off len',
  summary: 'discards a number of bytes at a specified offset',
  manual: `
 discards a range of bytes from the given offset

 Example:
 'discard 512 1k' - discards 1 kilobyte from 512 bytes into the file

 Discards a segment of the currently open file.
 -C, -- report statistics in a machine parsable format
 -q, -- quiet mode, do not show I/O statistics

`,
  words: [2],
  needs: 'writable',
  async run(shell, words, image) {
    const line = readCommandLine(shell, 'discard', words, 'Cq');
    const [offsetText = '', countText = '', ...others] = line.operands;
    if (countText === '' || others.length > 0) {
      throw new WrongUsage();
    }
    const offset = readNumber(offsetText, shell.warn);
    const bytes = readNumber(countText, shell.warn);
    assertLength(bytes, countText);
    await carryOut(shell, discardRequest(image, line, offset, bytes, 'discard'));
  },
};

/** The request of a discard. */
export function discardRequest(
  image: OpenedImage,
  line: CommandLine,
  offset: bigint,
  bytes: bigint,
  action: string,
): Request {
  return {
    what: 'discard',
    action,
    offset,
    bytes,
    report: { quiet: line.has('q'), machine: line.has('C') },
    async perform() {
      const range = rangeOf(image.disk, offset, bytes);
      if (image.request.discards) {
        await image.disk.discard(range.offset, range.length);
      }
    },
  };
}

/** `alloc`. */
export const ALLOC: ImageCommand = {
  name: 'alloc',
  alias: 'a',
  synopsis: 'offset [count]',
  summary: 'checks if offset is allocated in the file',
  words: [1, 2],
  needs: 'image',
  async run(shell, [offsetText = '', countText], { disk }) {
    const offset = readNumber(offsetText, shell.warn);
    const wanted = countText === undefined ? BigInt(SECTOR) : readNumber(countText, shell.warn);
    const left = BigInt(disk.size) - offset;
    const count = left <= 0n ? 0n : wanted < left ? wanted : left;
    let allocated = 0n;
    await listing(shell, async () => {
      for await (const part of allocation(disk, Number(offset), Number(count))) {
        allocated += part.allocated ? BigInt(part.length) : 0n;
      }
    });
    shell.session.out(`${allocated}/${count} bytes allocated at offset ${sizeText(offset)}\n`);
  },
};

/** `map`. */
export const MAP: ImageCommand = {
  name: 'map',
  synopsis: '',
  summary: 'prints the allocated areas of a file',
  words: [0, 0],
  needs: 'image',
  async run(shell, _words, { disk }) {
    await listing(shell, async () => {
      for await (const { offset, length, allocated } of allocation(disk, 0, disk.size)) {
        shell.session.out(
          `${sizeText(BigInt(length))} (0x${length.toString(16)}) bytes ` +
            `${allocated ? '    allocated' : 'not allocated'} at offset ` +
            `${sizeText(BigInt(offset))} (0x${offset.toString(16)})\n`,
        );
      }
    });
  },
};

async function listing(shell: Shell, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw new CommandFailure(
      `${shell.session.name}: Failed to get allocation status: ${requestProblem(error)}`,
      'error',
    );
  }
}

/** A run of the disk that the top image holds, or does not. */
interface Allocation {
  readonly offset: number;
  length: number;
  readonly allocated: boolean;
}

async function* allocation(
  disk: Disk,
  offset: number,
  length: number,
): AsyncGenerator<Allocation, void, undefined> {
  let held: Allocation | undefined;
  if (length === 0) {
    return;
  }
  for await (const extent of disk.extents({ offset, length })) {
    const allocated = extent.layer === 0 && extent.kind !== 'unallocated';
    if (held?.allocated === allocated) {
      held.length += extent.length;
      continue;
    }
    if (held !== undefined) {
      yield held;
    }
    held = { offset: extent.offset, length: extent.length, allocated };
  }
  if (held !== undefined) {
    yield held;
  }
}
