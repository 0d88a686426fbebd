import { convertDisks, isLamellaError } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import { asksForHelp } from '../../command-line/option-list.js';
import { complain, type ProgressDisplay, type Session } from '../../command-line/session.js';
import { problemText } from '../../messages/problem.js';
import {
  addOptions,
  BACKING,
  BACKING_FORMAT,
  COMPRESS,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  PROGRESS,
  QUIET,
  RATE_LIMIT,
  readSize,
  SOURCE_CACHE,
  sourceCacheMode,
} from '../common-options.js';
import {
  assertNotRead,
  createTarget,
  openTarget,
  type TargetSettings,
  targetOptions,
} from '../convert-target.js';
import { copyBitmaps } from '../copy-bitmaps.js';
import { createHelp, type OptionMap } from '../format-options.js';
import { driverOf, type OpenImage } from '../open-image.js';
import { paceOf } from '../pace.js';
import { progressOf } from '../progress.js';
import {
  type OpenSource,
  openSource,
  type SnapshotSettings,
  snapshotOption,
} from '../source-image.js';
import { TargetFiles } from '../target-files.js';

const SECTOR = 512;
const MAX_SPARSE = 16 * 1024 * 1024;
const MAX_PARALLEL = 16;

interface Settings extends TargetSettings, SnapshotSettings {
  targetFormat?: string;
  skipCreate?: boolean;
  sparse?: number;
  parallel?: number;
  outOfOrder?: boolean;
  offload?: boolean;
  skipBroken?: boolean;
  salvage?: boolean;
  targetIsZero?: boolean;
}

/** `convert`. */
export const convert = defineCommand<Settings>({
  name: 'convert',
  summary: 'Copy images, one behind the other, into a new one',
  operands: 'SOURCE [SOURCE...] TARGET',
  settings: () => ({}),
  options: [
    { ...FORMAT, long: 'source-format', help: 'format of the sources' },
    { ...IMAGE_OPTS, long: 'image-opts' },
    { ...IMAGE_OPTS, long: 'source-image-opts' },
    snapshotOption('l', 'source-snapshot'),
    SOURCE_CACHE,
    {
      short: 'O',
      long: 'target-format',
      takesValue: true,
      metavar: 'FMT',
      help: 'format of the target; raw by default',
      apply(settings, value) {
        settings.targetFormat = value;
      },
    },
    {
      long: 'target-image-opts',
      takesValue: false,
      help: 'the target is named by options; needs -n',
      apply(settings) {
        settings.targetImageOpts = true;
      },
    },
    {
      short: 'o',
      long: 'target-options',
      takesValue: true,
      metavar: 'OPTIONS',
      help: 'options of the target: NAME=VALUE,…; "help" lists them',
      apply: addOptions,
    },
    {
      short: 't',
      long: 'target-cache',
      takesValue: true,
      metavar: 'CACHE',
      help: 'cache mode of the target; unsafe by default',
      apply(settings, value) {
        settings.cache = value;
      },
    },
    COMPRESS,
    flag('n', 'no-create', 'the target exists: write into it', (settings) => {
      settings.skipCreate = true;
    }),
    {
      ...BACKING,
      short: 'B',
      help: 'backing file of the target, with the same content as that of the source',
    },
    { ...BACKING_FORMAT, help: 'format of that backing file' },
    {
      short: 'S',
      long: 'sparse-size',
      takesValue: true,
      metavar: 'SIZE',
      help: 'shortest run of zeroes to leave out; 4k by default, 0 leaves nothing out',
      apply(settings, value) {
        settings.sparse = readSparse(value);
      },
    },
    RATE_LIMIT,
    {
      short: 'm',
      long: 'parallel',
      takesValue: true,
      metavar: 'COUNT',
      help: 'pieces to copy at once, 1 to 16; 8 by default',
      apply(settings, value) {
        settings.parallel = readParallel(value);
      },
    },
    flag('W', 'oob', 'write in any order', (settings) => {
      settings.outOfOrder = true;
    }),
    flag(
      'C',
      'copy-range-offloading',
      'have the system copy without looking at the data',
      (settings) => {
        settings.offload = true;
      },
    ),
    flag(undefined, 'bitmaps', 'copy dirty bitmaps as well', (settings) => {
      settings.bitmaps = true;
    }),
    flag(
      undefined,
      'skip-broken-bitmaps',
      'leave out bitmaps that are not to be relied on',
      (settings) => {
        settings.skipBroken = true;
      },
    ),
    flag(undefined, 'salvage', 'take what cannot be read for zeroes', (settings) => {
      settings.salvage = true;
    }),
    flag(undefined, 'target-is-zero', 'the target reads as zeroes; needs -n', (settings) => {
      settings.targetIsZero = true;
    }),
    PROGRESS,
    QUIET,
    FORCE_SHARE,
    OBJECT,
  ],
  async run(session, settings, operands) {
    assertSensible(settings);
    const target = operands.at(-1);
    const format = settings.targetFormat ?? 'raw';
    if (settings.options !== undefined && asksForHelp(settings.options)) {
      session.out(createHelp(driverOf(session, format), operands.length > 1));
      return 0;
    }
    if (target === undefined || operands.length < 2) {
      throw new Failure('Must specify image file name');
    }
    const names = operands.slice(0, -1);
    if (settings.snapshot !== undefined && names.length > 1) {
      throw new Failure('No support for concatenating multiple snapshot');
    }
    const sourceCache = sourceCacheMode(settings.sourceCache);
    const line = progressOf(session, settings, { title: 'convert' });
    const sources: OpenSource[] = [];
    try {
      for (const text of names) {
        sources.push(await openSource(session, text, settings, sourceCache));
      }
      await convertInto(session, settings, sources, target, format, line);
      line.finish();
    } catch (error) {
      line.end();
      throw error;
    } finally {
      for (const source of sources) {
        await source.close();
      }
    }
    return 0;
  },
});

function flag(
  short: string | undefined,
  long: string,
  help: string,
  apply: (settings: Settings) => void,
) {
  return { short, long, takesValue: false, help, apply };
}

function readSparse(value: string): number {
  const bytes = readSize(value, 'buffer size for sparse output');
  if (bytes % SECTOR !== 0 || bytes > MAX_SPARSE) {
    throw new Failure(
      `Invalid buffer size for sparse output specified. Valid sizes are multiples of ${SECTOR} up to ${MAX_SPARSE}. ` +
        'Select 0 to disable sparse detection (fully allocates output).',
    );
  }
  return bytes;
}

function readParallel(value: string): number {
  const count = /^\d+$/.test(value) ? Number(value) : 0;
  if (count < 1 || count > MAX_PARALLEL) {
    throw new Failure(
      `Invalid number of coroutines. Allowed number of coroutines is between 1 and ${MAX_PARALLEL}`,
    );
  }
  return count;
}

function assertSensible(settings: Settings): void {
  const { skipCreate = false, compress = false, offload = false } = settings;
  const mistakes: readonly (readonly [boolean, string])[] = [
    [
      settings.skipBroken === true && settings.bitmaps !== true,
      'Use of --skip-broken-bitmaps requires --bitmaps',
    ],
    [
      settings.targetImageOpts === true && !skipCreate,
      '--target-image-opts requires use of -n flag',
    ],
    [skipCreate && settings.options !== undefined, '-o has no effect when skipping image creation'],
    [offload && compress, 'Cannot enable copy offloading when -c is used'],
    [offload && settings.sparse !== undefined, 'Cannot enable copy offloading when -S is used'],
    [offload && settings.salvage === true, 'Cannot use copy offloading in salvaging mode'],
    [
      settings.targetImageOpts === true && settings.targetFormat !== undefined,
      '--image-opts and --format are mutually exclusive',
    ],
    [settings.targetIsZero === true && !skipCreate, '--target-is-zero requires use of -n flag'],
  ];
  const mistake = mistakes.find(([made]) => made);
  if (mistake !== undefined) {
    throw new Failure(mistake[1]);
  }
}

async function convertInto(
  session: Session,
  settings: Settings,
  sources: readonly OpenSource[],
  text: string,
  format: string,
  line: ProgressDisplay,
): Promise<void> {
  const size = sources.reduce((sum, { disk }) => sum + disk.size, 0);
  let values: OptionMap = new Map();
  if (settings.skipCreate !== true) {
    values = targetOptions(session, settings, sources, format, size);
    await assertNotRead(session, sources, text, format);
  }
  const made = settings.skipCreate === true ? undefined : new TargetFiles(session, text, values);
  try {
    if (made !== undefined) {
      await createTarget(session, text, format, values);
    }
    const target = await openTarget(session, settings, text, format, values);
    await using disk = target.disk;
    const how = { made: made !== undefined, values };
    await copy(session, settings, sources, target, how, line);
    if (settings.bitmaps === true) {
      await copyBitmaps(sources, target, settings.skipBroken === true);
    }
    await disk.flush();
  } catch (error) {
    await made?.removeIfInterrupted();
    throw isLamellaError(error)
      ? new Failure(`error while converting: ${problemText(error)}`, { cause: error })
      : error;
  } finally {
    made?.done();
  }
}

async function copy(
  session: Session,
  settings: Settings,
  sources: readonly OpenSource[],
  target: OpenImage,
  { made, values }: { readonly made: boolean; readonly values: OptionMap },
  line: ProgressDisplay,
): Promise<void> {
  const { disk } = target;
  const [top] = target.layers;
  const disks = sources.map((source) => source.disk);
  const size = disks.reduce((sum, one) => sum + one.size, 0);
  // Only who names the backing file says that what it holds needs no copy: the target's may be another one.
  const backed = settings.backing !== undefined || values.has('backing_file');
  if (size > disk.size) {
    throw new Failure('output file is smaller than input file');
  }
  if (settings.targetIsZero === true && (backed || top.image.references.backing !== undefined)) {
    throw new Failure('Cannot use --target-is-zero when the destination image has a backing file');
  }
  if (settings.compress === true && top.image.compressor === undefined) {
    throw new Failure('Compression not supported for this file format');
  }
  await convertDisks(disks, disk, {
    compress: settings.compress,
    sparse: settings.sparse,
    targetIsZero: (made && !backed) || settings.targetIsZero === true,
    topOnly: backed,
    parallel: settings.parallel,
    outOfOrder: settings.outOfOrder,
    offload: settings.offload,
    pace: paceOf(settings.rate),
    signal: session.signal,
    onProgress: line.update,
    ...(settings.salvage === true
      ? {
          onUnreadable: (offset: number, _length: number, error: unknown) => {
            if (settings.quiet !== true) {
              complain(
                session,
                `warning: error while reading offset ${offset}: ${isLamellaError(error) ? problemText(error) : String(error)}`,
              );
            }
          },
        }
      : {}),
  });
}
