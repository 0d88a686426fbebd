import { type ImageCommand, readCommandLine } from '../command.js';
import { CommandFailure, WrongUsage } from '../command-failure.js';
import { readLengths, readNumber } from '../numbers.js';
import { carryOutLater } from '../requests.js';
import { readRequest, readVector } from './read.js';
import { discardRequest } from './space.js';
import { readFillOptions, writeRequest } from './write.js';

const ASYNCHRONOUS = ` Note that due to its asynchronous nature, this command will be
 considered successful once the request is submitted, independently
 of potential I/O errors or pattern mismatches.`;

/** `aio_read`. */
export const AIO_READ: ImageCommand = {
  name: 'aio_read',
  synopsis: '[-Ciqrv] [-P pattern] off len [len..]',
  summary: 'asynchronously reads a number of bytes',
  manual: `
 asynchronously reads a range of bytes from the given offset

 Example:
 'aio_read -v 512 1k 1k ' - dumps 2 kilobytes read from 512 bytes into the file

 Reads a segment of the currently open file, optionally dumping it to the
 standard output stream (with -v option) for subsequent inspection.
 The read is performed asynchronously and the aio_flush command must be
 used to ensure all outstanding aio requests have been completed.
${ASYNCHRONOUS}
 -C, -- report statistics in a machine parsable format
 -P, -- use a pattern to verify read data
 -i, -- treat request as invalid, for exercising stats
 -r, -- register I/O buffer
 -v, -- dump buffer to standard output
 -q, -- quiet mode, do not show I/O statistics

`,
  words: [2],
  needs: 'image',
  run(shell, words, image) {
    const { line, ...plan } = readVector(shell, 'aio_read', words, 'CiP:qrv');
    if (line.has('i')) {
      shell.session.out('injecting invalid read request\n');
      return;
    }
    const request = readRequest(shell, image, line, plan, 'readv');
    image.background.add(carryOutLater(shell, request));
  },
};

/** `aio_write`. */
export const AIO_WRITE: ImageCommand = {
  name: 'aio_write',
  synopsis: '[-Cfiqruz] [-P pattern] off len [len..]',
  summary: 'asynchronously writes a number of bytes',
  manual: `
 asynchronously writes a range of bytes from the given offset source
 from multiple buffers

 Example:
 'aio_write 512 1k 1k' - writes 2 kilobytes at 512 bytes into the open file

 Writes into a segment of the currently open file, using a buffer
 filled with a set pattern (0xcdcdcdcd).
 The write is performed asynchronously and the aio_flush command must be
 used to ensure all outstanding aio requests have been completed.
${ASYNCHRONOUS}
 -P, -- use different pattern to fill file
 -C, -- report statistics in a machine parsable format
 -f, -- use Force Unit Access semantics
 -i, -- treat request as invalid, for exercising stats
 -q, -- quiet mode, do not show I/O statistics
 -r, -- register I/O buffer
 -u, -- with -z, allow unmapping
 -z, -- write zeroes using blk_aio_pwrite_zeroes

`,
  words: [2],
  needs: 'writable',
  run(shell, words, image) {
    const { line, pattern } = readFillOptions(shell, 'aio_write', words, 'CfiP:qruz');
    const [offsetText, ...lengths] = line.operands;
    if (offsetText === undefined || lengths.length === 0) {
      throw new WrongUsage();
    }
    const zeroes = line.has('z');
    if (zeroes && lengths.length > 1) {
      throw new CommandFailure('-z supports only a single length parameter');
    }
    if (line.has('u') && !zeroes) {
      throw new CommandFailure('-u requires -z to be specified');
    }
    const offset = readNumber(offsetText, shell.warn);
    const bytes = zeroes
      ? readNumber(lengths.join(), shell.warn)
      : readLengths(lengths, shell.warn);
    if (line.has('i')) {
      shell.session.out('injecting invalid write request\n');
      return;
    }
    const plan = { offset, bytes, zeroes, fill: pattern };
    const request = writeRequest(image, line, plan, 'aio_write');
    image.background.add(carryOutLater(shell, request));
  },
};

/** `aio_discard`. */
export const AIO_DISCARD: ImageCommand = {
  name: 'aio_discard',
  synopsis: '[-Ciq] off len',
  summary: 'asynchronously discards a number of bytes',
  manual: `
 asynchronously discards a range of bytes from the given offset

 Example:
 'aio_discard 0 64k' - discards 64 kilobytes at start of a disk

 Note that due to its asynchronous nature, this command will be
 considered successful once the request is submitted, independently
 of potential I/O errors.
 -C, -- report statistics in a machine parsable format
 -i, -- treat request as invalid, for exercising stats
 -q, -- quiet mode, do not show I/O statistics

`,
  words: [2],
  needs: 'writable',
  run(shell, words, image) {
    const line = readCommandLine(shell, 'aio_discard', words, 'Ciq');
    const [offsetText = '', countText = '', ...others] = line.operands;
    if (countText === '' || others.length > 0) {
      throw new WrongUsage();
    }
    const offset = readNumber(offsetText, shell.warn);
    const bytes = readNumber(countText, shell.warn);
    if (line.has('i')) {
      shell.session.out('injecting invalid discard request\n');
      return;
    }
    const request = discardRequest(image, line, offset, bytes, 'aio_discard');
    image.background.add(carryOutLater(shell, request));
  },
};

/** `aio_flush`. */
export const AIO_FLUSH: ImageCommand = {
  name: 'aio_flush',
  summary: 'completes all outstanding aio requests',
  words: [0, 0],
  needs: 'image',
  run(_shell, _words, image) {
    return image.background.drain();
  },
};
