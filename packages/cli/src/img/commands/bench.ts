import { type Disk, isLamellaError } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import { parseSizeText } from '../../command-line/size.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  type CommonSettings,
  cacheMode,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  onlyOperand,
  QUIET,
  readSize,
} from '../common-options.js';
import { openImage } from '../open-image.js';

const MAX_INT = 2n ** 31n - 1n;
const AIO = ['threads', 'native', 'io_uring'];

interface Settings extends CommonSettings {
  count: number;
  depth: number;
  bufferSize: number;
  step: number;
  offset: number;
  write: boolean;
  pattern: number;
  flushInterval: number;
  drain: boolean;
  native: boolean;
}

/** `bench`. */
export const bench = defineCommand<Settings>({
  name: 'bench',
  summary: 'Measure reading or writing an image from its start on',
  operands: 'FILE',
  settings: () => ({
    count: 75_000,
    depth: 64,
    bufferSize: 4096,
    step: 0,
    offset: 0,
    write: false,
    pattern: 0,
    flushInterval: 0,
    drain: true,
    native: false,
  }),
  options: [
    FORMAT,
    IMAGE_OPTS,
    number('c', 'count', 'how many requests', 'request count', (settings, value) => {
      settings.count = value;
    }),
    number('d', 'depth', 'requests at once', 'queue depth', (settings, value) => {
      settings.depth = value;
    }),
    size('s', 'buffer-size', 'bytes of a request', 'buffer size', MAX_INT, (settings, value) => {
      settings.bufferSize = value;
    }),
    size(
      'S',
      'step-size',
      'from one request to the next',
      'step_size',
      MAX_INT,
      (settings, value) => {
        settings.step = value;
      },
    ),
    size(
      'o',
      'offset',
      'where the first request is',
      'offset',
      2n ** 63n - 1n,
      (settings, value) => {
        settings.offset = value;
      },
    ),
    {
      short: 'w',
      long: 'write',
      takesValue: false,
      help: 'write instead of reading',
      apply(settings) {
        settings.write = true;
      },
    },
    {
      long: 'pattern',
      takesValue: true,
      metavar: 'BYTE',
      help: 'what to write; 0 by default',
      apply(settings, value) {
        const byte = Number(value);
        if (!/^(0x[0-9a-f]+|\d+)$/i.test(value) || byte > 0xff) {
          throw new Failure('Invalid pattern byte specified');
        }
        settings.pattern = byte;
      },
    },
    {
      long: 'flush-interval',
      takesValue: true,
      metavar: 'COUNT',
      help: 'flush after that many writes',
      apply(settings, value) {
        settings.flushInterval = readCount(value, 'flush interval');
      },
    },
    {
      long: 'no-drain',
      takesValue: false,
      help: 'do not wait for requests before a flush',
      apply(settings) {
        settings.drain = false;
      },
    },
    {
      short: 'i',
      long: 'aio',
      takesValue: true,
      metavar: 'threads|native|io_uring',
      help: 'accepted; the library chooses how it reads and writes',
      apply(settings, value) {
        settings.native ||= value === 'native';
        if (!AIO.includes(value)) {
          throw new Failure(`Invalid aio option: ${value}`);
        }
      },
    },
    {
      short: 'n',
      long: 'native',
      takesValue: false,
      help: 'native asynchronous I/O: needs -t none or directsync',
      apply(settings) {
        settings.native = true;
      },
    },
    {
      short: 't',
      long: 'cache',
      takesValue: true,
      metavar: 'CACHE',
      help: 'cache mode',
      apply(settings, value) {
        cacheMode(value, () => 'Invalid cache mode');
        settings.cache = value;
      },
    },
    QUIET,
    FORCE_SHARE,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const text = onlyOperand(operands);
    const { write, flushInterval, depth, bufferSize, count, offset } = settings;
    if (!write && flushInterval > 0) {
      throw new Failure('--flush-interval is only available in write tests');
    }
    if (flushInterval > 0 && flushInterval < depth) {
      throw new Failure("Flush interval can't be smaller than depth");
    }
    assertOneNaming(settings);
    const { format, imageOpts, forceShare } = settings;
    const cache = cacheMode(settings.cache);
    if (settings.native && cache !== 'none' && cache !== 'directsync') {
      throw new Failure(
        `Could not open '${text}': aio=native was specified, but it requires cache.direct=on, which was not specified.`,
      );
    }
    const { disk } = await openImage(
      session,
      { text, format, imageOpts },
      {
        writable: write,
        forceShare,
        cache,
      },
    );
    await using _ = disk;
    const step = settings.step === 0 ? bufferSize : settings.step;
    session.out(
      `Sending ${count} ${write ? 'write' : 'read'} requests, ${bufferSize} bytes each, ` +
        `${depth} in parallel (starting at offset ${offset}, step size ${step})\n`,
    );
    if (flushInterval > 0) {
      session.out(`Sending flush every ${settings.drain ? '' : ''}${flushInterval} requests\n`);
    }
    if (bufferSize > disk.size - offset) {
      throw new Failure('Failed request: Input/output error');
    }
    const began = performance.now();
    try {
      await run(disk, { ...settings, step }, session.signal);
    } catch (error) {
      throw isLamellaError(error) ? new Failure(`Failed request: ${problemText(error)}`) : error;
    }
    session.out(`Run completed in ${((performance.now() - began) / 1000).toFixed(3)} seconds.\n`);
    return 0;
  },
});

function number(
  short: string,
  long: string,
  help: string,
  what: string,
  apply: (settings: Settings, value: number) => void,
) {
  return {
    short,
    long,
    takesValue: true,
    metavar: 'COUNT',
    help,
    apply(settings: Settings, value: string) {
      apply(settings, readCount(value, what));
    },
  };
}

function readCount(text: string, what: string): number {
  const result = parseSizeText(text);
  if (result.bytes === undefined || result.bytes < 1n || result.bytes > MAX_INT) {
    throw new Failure(`Invalid ${what} specified. Must be between 1 and ${MAX_INT}.`);
  }
  return Number(result.bytes);
}

function size(
  short: string,
  long: string,
  help: string,
  what: string,
  max: bigint,
  apply: (settings: Settings, value: number) => void,
) {
  return {
    short,
    long,
    takesValue: true,
    metavar: 'SIZE',
    help,
    apply(settings: Settings, value: string) {
      apply(settings, readSize(value, what, { max }));
    },
  };
}

/** Keeps `depth` requests under way until `count` have been made; those past the end begin at 0 again. */
async function run(disk: Disk, settings: Settings, signal: AbortSignal): Promise<void> {
  const { count, depth, bufferSize, step, write, flushInterval, drain } = settings;
  let position = settings.offset;
  let left = count;
  const lane = async (most: number): Promise<void> => {
    const buffer = new Uint8Array(bufferSize).fill(settings.pattern);
    while (left > most) {
      signal.throwIfAborted();
      left -= 1;
      const at = position;
      position += step;
      if (disk.size <= position) {
        position = 0;
      }
      await (write ? disk.write(buffer, at) : disk.read(buffer, at));
      if (!drain && flushInterval > 0 && left % flushInterval === 0) {
        await disk.flush();
      }
    }
  };
  while (left > 0) {
    const most = drain && flushInterval > 0 ? Math.max(0, left - flushInterval) : 0;
    const lanes = Math.min(depth, left - most);
    await Promise.all(Array.from({ length: lanes }, () => lane(most)));
    if (drain && flushInterval > 0) {
      await disk.flush();
    }
  }
}
