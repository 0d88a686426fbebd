import { convertDisks, isLamellaError } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import { complain } from '../../command-line/session.js';
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
    try {
      await makeImage(session, output, driver, new Map([['size', size]]));
    } catch (error) {
      const why = error instanceof Failure ? error.message : createFailureText(error, output);
      throw new Failure(`${output}: error while creating output image: ${why}`);
    }
    if (beyond) {
      complain(session, `${input}: cannot skip to specified offset`);
    }
    const target = await openImage(
      session,
      { text: output, format: targetFormat },
      { writable: true },
    );
    await using copy = target.disk;
    try {
      if (size > 0) {
        await convertDisks([disk], copy, {
          range: { offset: start, length: size },
          sparse: 0,
          signal: session.signal,
        });
      }
    } catch (error) {
      throw isLamellaError(error)
        ? new Failure(`error while reading from input image file: ${problemText(error)}`)
        : error;
    }
    return 0;
  },
});

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
