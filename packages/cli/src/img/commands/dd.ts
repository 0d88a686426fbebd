import { type BlockDriver, type ByteRange, convertDisks, type Disk, isLamellaError } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { causeOf, Failure } from '../../command-line/failure.js';
import { complain, type Session } from '../../command-line/session.js';
import { createFailureText } from '../../messages/create-failure.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  type CommonSettings,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  readSize,
} from '../common-options.js';
import { isOpen } from '../is-open.js';
import { makeImage } from '../make-image.js';
import { driverOf, openImage } from '../open-image.js';
import { progressOf } from '../progress.js';
import { TargetFiles } from '../target-files.js';

const MAX_BLOCK = 2n ** 31n - 1n;
const DEFAULT_BLOCK = 512;

interface Settings extends CommonSettings {
  targetFormat?: string;
}

/** What the operands say. */
interface Request {
  input?: string;
  output?: string;
  block: number;
  count?: number;
  skip: number;
}

/** `dd`. */
export const dd = defineCommand<Settings>({
  name: 'dd',
  summary: 'Copy blocks of an image into a new one',
  operands: '[bs=SIZE] [count=BLOCKS] [skip=BLOCKS] if=INPUT of=OUTPUT',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    {
      short: 'O',
      long: 'output-format',
      takesValue: true,
      metavar: 'FMT',
      help: 'format of the output; raw by default',
      apply(settings, value) {
        settings.targetFormat = value;
      },
    },
    FORCE_SHARE,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const request = readRequest(operands);
    const { input, output } = request;
    if (input === undefined || output === undefined) {
      throw new Failure('Must specify both input and output files');
    }
    assertOneNaming(settings);
    const { format, imageOpts, forceShare, targetFormat = 'raw' } = settings;
    const source = await openImage(session, { text: input, format, imageOpts }, { forceShare });
    await using disk = source.disk;
    const driver = driverOf(session, targetFormat, () => 'Unknown file format');
    // As in qemu-img, the count is from the input's start, skipped blocks included.
    const end =
      request.count === undefined ? disk.size : Math.min(disk.size, request.count * request.block);
    const start = request.skip * request.block;
    const beyond = start > end;
    const size = beyond ? 0 : end - start;
    if (await isOpen(session, [source], output)) {
      throw new Failure(
        `${output}: error while creating output image: Failed to get "write" lock\n` +
          `Is another process using the image [${output}]?`,
      );
    }
    const files = new TargetFiles(session, output, new Map());
    try {
      await makeOutput(session, output, driver, size);
      if (beyond) {
        complain(session, `${input}: cannot skip to specified offset`);
      }
      await copy(session, disk, { offset: start, length: size }, output, targetFormat);
    } catch (error) {
      await files.removeIfInterrupted();
      throw error;
    } finally {
      files.done();
    }
    return 0;
  },
});

async function makeOutput(
  session: Session,
  output: string,
  driver: BlockDriver,
  size: number,
): Promise<void> {
  try {
    await makeImage(session, output, driver, new Map([['size', size]]), false, {
      signal: session.signal,
    });
  } catch (error) {
    const why = error instanceof Failure ? error.message : createFailureText(error, output);
    throw new Failure(`${output}: error while creating output image: ${why}`, {
      cause: causeOf(error),
    });
  }
}

async function copy(
  session: Session,
  disk: Disk,
  range: ByteRange,
  output: string,
  format: string,
): Promise<void> {
  const target = await openImage(session, { text: output, format }, { writable: true });
  await using written = target.disk;
  const progress = progressOf(session, {}, { title: 'dd' });
  try {
    if (range.length > 0) {
      await convertDisks([disk], written, {
        range,
        sparse: 0,
        signal: session.signal,
        onProgress: progress.update,
      });
    }
    progress.finish();
  } catch (error) {
    progress.end();
    throw isLamellaError(error)
      ? new Failure(`error while reading from input image file: ${problemText(error)}`, {
          cause: error,
        })
      : error;
  }
}

function readRequest(operands: readonly string[]): Request {
  const request: Request = { block: DEFAULT_BLOCK, skip: 0 };
  for (const operand of operands) {
    const equals = operand.indexOf('=');
    const name = equals < 0 ? operand : operand.slice(0, equals);
    const value = operand.slice(equals + 1);
    const apply = equals < 0 ? undefined : OPERANDS.get(name);
    if (apply === undefined) {
      throw new Failure(`unrecognized operand ${name}`);
    }
    apply(request, value);
  }
  return request;
}

const OPERANDS: ReadonlyMap<string, (request: Request, value: string) => void> = new Map([
  [
    'if',
    (request: Request, value: string) => {
      request.input = value;
    },
  ],
  [
    'of',
    (request: Request, value: string) => {
      request.output = value;
    },
  ],
  [
    'bs',
    (request: Request, value: string) => {
      request.block = readSize(value, 'bs', { min: 1n, max: MAX_BLOCK });
    },
  ],
  [
    'count',
    (request: Request, value: string) => {
      request.count = readSize(value, 'count');
    },
  ],
  [
    'skip',
    (request: Request, value: string) => {
      request.skip = readSize(value, 'skip');
    },
  ],
]);
