import {
  type BlockDriver,
  ChainResolver,
  closeLayers,
  isLamellaError,
  StorageRegistry,
} from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { causeOf, Failure, wrongUsage } from '../../command-line/failure.js';
import { asksForHelp } from '../../command-line/option-list.js';
import type { Session } from '../../command-line/session.js';
import { createFailureText } from '../../messages/create-failure.js';
import { openFailureText } from '../../messages/open-failure.js';
import {
  BACKING,
  BACKING_FORMAT,
  BACKING_UNSAFE,
  type CommonSettings,
  FORMAT,
  OBJECT,
  OPTIONS,
  QUIET,
  readImageSize,
} from '../common-options.js';
import {
  createHelp,
  createSchema,
  formattingLine,
  type OptionMap,
  readOptions,
  setBacking,
} from '../format-options.js';
import { makeImage } from '../make-image.js';
import { driverOf, WORKING_DIRECTORY } from '../open-image.js';
import { progressOf } from '../progress.js';
import { TargetFiles } from '../target-files.js';

const HOW_TO_ENCRYPT =
  'Give its passphrase: --object secret,id=key,file=PATH -o …,encrypt.key-secret=key';

/** `create`. */
export const create = defineCommand<CommonSettings>({
  name: 'create',
  summary: 'Create and format a new image',
  operands: 'FILE [SIZE]',
  settings: () => ({}),
  options: [
    { ...FORMAT, help: 'format of the image; raw by default' },
    OPTIONS,
    BACKING,
    BACKING_FORMAT,
    BACKING_UNSAFE,
    QUIET,
    OBJECT,
  ],
  async run(session, settings, [filename, size, ...more]) {
    const format = settings.format ?? 'raw';
    const wantsHelp = settings.options !== undefined && asksForHelp(settings.options);
    if (filename === undefined && !wantsHelp) {
      throw wrongUsage('Expecting image file name');
    }
    const bytes = size === undefined ? undefined : readImageSize(size);
    if (more.length > 0) {
      throw wrongUsage(`Unexpected argument: ${more[0]}`);
    }
    if (wantsHelp) {
      session.out(createHelp(driverOf(session, format), filename !== undefined));
      return 0;
    }
    await createImage(session, filename ?? '', format, bytes, settings);
    return 0;
  },
});

async function createImage(
  session: Session,
  filename: string,
  format: string,
  size: number | undefined,
  settings: CommonSettings,
): Promise<void> {
  try {
    const driver = driverOf(session, format);
    assertProtocol(session, filename);
    const schema = createSchema(driver);
    const values = readOptions(settings.options, schema);
    if (size !== undefined) {
      if (values.has('size')) {
        throw new Failure('The image size must be specified only once');
      }
      values.set('size', size);
    }
    setBacking(values, settings, driver);
    await completeFromBacking(session, filename, values, settings.unsafe === true);
    if (!values.has('size')) {
      throw new Failure('Image creation needs a size parameter', {
        hint: `Give it behind the name: lamella create -f ${format} ${filename} 10G`,
      });
    }
    if (settings.quiet !== true) {
      session.out(formattingLine(filename, format, schema, values));
    }
    if (values.has('backing_fmt') && !values.has('backing_file')) {
      throw new Failure('Backing format cannot be used without backing file');
    }
    assertEncryption(values);
    await make(session, filename, driver, values, settings);
  } catch (error) {
    const cause = causeOf(error);
    if (error instanceof Failure) {
      const { message, lineEnd, misspelt, hint } = error;
      throw new Failure(`${filename}: ${message}`, { lineEnd, misspelt, hint, cause });
    }
    const hint = isLamellaError(error, 'PASSPHRASE_REQUIRED') ? HOW_TO_ENCRYPT : undefined;
    throw new Failure(`${filename}: ${createFailureText(error, filename)}`, { hint, cause });
  }
}

async function make(
  session: Session,
  filename: string,
  driver: BlockDriver,
  values: OptionMap,
  settings: CommonSettings,
): Promise<void> {
  const progress = progressOf(session, settings, { title: 'create' });
  const files = new TargetFiles(session, filename, values);
  try {
    await makeImage(session, filename, driver, values, settings.unsafe, {
      signal: session.signal,
      onProgress: progress.update,
    });
    progress.finish();
  } catch (error) {
    progress.end();
    throw error;
  } finally {
    files.done();
  }
}

/** A key alone encrypts nothing. */
function assertEncryption(values: OptionMap): void {
  if (
    values.has('encrypt.key-secret') &&
    !values.has('encrypt.format') &&
    values.get('encryption') !== true
  ) {
    throw new Failure("Parameter 'encrypt.format' is missing");
  }
}

function assertProtocol(session: Session, filename: string): void {
  if (filename.startsWith('json:')) {
    throw new Failure("Unknown protocol 'json'");
  }
  session.lamella.container.resolve(StorageRegistry).resolve(filename);
}

/** Looks at the backing file: it must open, and gives the size if nobody else does. */
async function completeFromBacking(
  session: Session,
  filename: string,
  values: OptionMap,
  unsafe: boolean,
): Promise<void> {
  const file = values.get('backing_file');
  const format = values.get('backing_fmt');
  if (typeof file !== 'string') {
    return;
  }
  if (file === '') {
    throw new Failure('Expected backing file name, got empty string');
  }
  if (file === filename) {
    throw new Failure(
      'Error: Trying to create an image with the same filename as the backing file',
    );
  }
  if (unsafe) {
    if (format === undefined) {
      throw new Failure('Backing file specified without backing format');
    }
    return;
  }
  const resolver = session.lamella.container.resolve(ChainResolver);
  const target = session.lamella.container.resolve(StorageRegistry).resolve(filename);
  const reference = { location: file, format: typeof format === 'string' ? format : undefined };
  let location = file;
  let chain: Awaited<ReturnType<ChainResolver['open']>>;
  try {
    const name = resolver.resolveReference(reference, target.location);
    location = name.location;
    chain = await resolver.open(name, {
      dataFilesBeside: WORKING_DIRECTORY,
      metadataOnly: true,
    });
  } catch (error) {
    if (!isLamellaError(error)) {
      throw error;
    }
    throw new Failure(`${openFailureText(error, location)}\nCould not open backing image.`, {
      cause: error,
    });
  }
  const [top] = chain.layers;
  await closeLayers(chain.layers);
  if (format === undefined) {
    throw new Failure(
      `Backing file specified without backing format\nDetected format of ${top.format}.`,
      { lineEnd: '', hint: `Say that it is right: -F ${top.format}` },
    );
  }
  if (!values.has('size')) {
    values.set('size', top.image.size);
  }
}
