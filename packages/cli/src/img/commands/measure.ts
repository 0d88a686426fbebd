import { type Disk, isLamellaError, measureImage } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import { formatJson } from '../../command-line/json.js';
import { complain, type Session } from '../../command-line/session.js';
import { problemText } from '../../messages/problem.js';
import {
  type CommonSettings,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  OPTIONS,
  OUTPUT,
  readImageSize,
} from '../common-options.js';
import { createSchema, driverOptions, readOptions } from '../format-options.js';
import { driverOf } from '../open-image.js';
import { progressOf } from '../progress.js';
import { openSource, type SnapshotSettings, snapshotOption } from '../source-image.js';

/** qemu-img can't measure these, and scripts that try it count on the error. */
const NOT_MEASURED: ReadonlySet<string> = new Set(['qed']);

interface Settings extends CommonSettings, SnapshotSettings {
  targetFormat?: string;
  size?: number;
}

/** `measure`. */
export const measure = defineCommand<Settings>({
  name: 'measure',
  summary: 'Tell how much space a new image would take',
  operands: '[FILE]',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    snapshotOption('l', 'snapshot'),
    FORCE_SHARE,
    {
      short: 'O',
      long: 'target-format',
      takesValue: true,
      metavar: 'FMT',
      help: 'format of the new image; raw by default',
      apply(settings, value) {
        settings.targetFormat = value;
      },
    },
    OPTIONS,
    OUTPUT,
    {
      short: 's',
      long: 'size',
      takesValue: true,
      metavar: 'SIZE',
      help: 'size of an empty disk to measure, instead of an image',
      apply(settings, value) {
        settings.size = readImageSize(value);
      },
    },
    OBJECT,
  ],
  async run(session, settings, operands) {
    const [text, ...more] = operands;
    const { imageOpts, format, size, snapshot } = settings;
    if (more.length > 0) {
      throw new Failure('At most one filename argument is allowed.');
    }
    if (text === undefined && (imageOpts === true || (format ?? snapshot) !== undefined)) {
      throw new Failure('--image-opts, -f, and -l require a filename argument.');
    }
    if (text === undefined && size === undefined) {
      throw new Failure('Either --size N or one filename must be specified.');
    }
    if (text !== undefined && size !== undefined) {
      throw new Failure('--size N cannot be used together with a filename.');
    }
    const opened = text === undefined ? undefined : await openSource(session, text, settings);
    try {
      await measureDisk(session, settings, opened?.disk);
    } finally {
      await opened?.close();
    }
    return 0;
  },
});

async function measureDisk(
  session: Session,
  settings: Settings,
  disk: Disk | undefined,
): Promise<void> {
  const driver = driverOf(session, settings.targetFormat ?? 'raw');
  if (driver.measure === undefined || NOT_MEASURED.has(driver.format)) {
    throw new Failure(`Block driver '${driver.format}' does not support size measurement`);
  }
  const schema = createSchema(driver);
  let values: ReturnType<typeof readOptions>;
  try {
    values = readOptions(settings.options, schema);
  } catch (error) {
    if (error instanceof Failure) {
      complain(session, error.message);
      throw new Failure(`Invalid options for file format '${driver.format}'`);
    }
    throw error;
  }
  if (values.get('encrypt.format') !== undefined && !values.has('encrypt.key-secret')) {
    throw new Failure("Parameter 'encrypt.key-secret' is required for cipher");
  }
  const progress = progressOf(session, {}, { title: 'measure' });
  try {
    const { required, fullyAllocated, bitmaps } = await measureImage(
      driver,
      disk ?? settings.size ?? 0,
      {
        options: driverOptions(driver, values),
        backed: disk !== undefined && values.has('backing_file'),
        signal: session.signal,
        onProgress: progress.update,
      },
    );
    progress.finish();
    if (settings.output === 'json') {
      session.out(`${formatJson({ bitmaps, required, 'fully-allocated': fullyAllocated })}\n`);
    } else {
      const more = bitmaps === undefined ? '' : `bitmaps size: ${bitmaps}\n`;
      session.out(`required size: ${required}\nfully allocated size: ${fullyAllocated}\n${more}`);
    }
  } catch (error) {
    progress.end();
    throw isLamellaError(error) ? new Failure(problemText(error), { cause: error }) : error;
  }
}
