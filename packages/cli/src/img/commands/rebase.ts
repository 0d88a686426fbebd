import { ChainResolver, isLamellaError, rebaseImage } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure, wrongUsage } from '../../command-line/failure.js';
import { openFailureText } from '../../messages/open-failure.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  BACKING,
  BACKING_FORMAT,
  BACKING_UNSAFE,
  CACHE,
  COMPRESS,
  type CommonSettings,
  cacheMode,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  onlyOperand,
  PROGRESS,
  QUIET,
  SOURCE_CACHE,
  sourceCacheMode,
} from '../common-options.js';
import { readImageName } from '../image-name.js';
import { imageOf, openImage, WORKING_DIRECTORY } from '../open-image.js';
import { progressOf } from '../progress.js';

/** `rebase`. */
export const rebase = defineCommand<CommonSettings>({
  name: 'rebase',
  summary: 'Put an image onto another backing file',
  operands: 'FILE',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    CACHE,
    { ...SOURCE_CACHE, long: 'backing-cache' },
    { ...BACKING, help: 'the new backing file; none if empty' },
    { ...BACKING_FORMAT, help: 'format of the new backing file' },
    {
      ...BACKING_UNSAFE,
      help: 'only change the name; the new file is taken to hold the same',
    },
    { ...COMPRESS, help: 'compress what is copied into the image' },
    PROGRESS,
    QUIET,
    FORCE_SHARE,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const text = onlyOperand(operands);
    const { backing, backingFormat, unsafe = false, compress = false } = settings;
    const { imageOpts, format } = settings;
    if (!unsafe && backing === undefined) {
      throw wrongUsage('Must specify backing file (-b) or use unsafe mode (-u)');
    }
    assertOneNaming(settings);
    const cache = cacheMode(settings.cache);
    sourceCacheMode(settings.sourceCache);
    // Opened once to say what is wrong in the words for it, and then by the operation.
    const probe = await openImage(
      session,
      { text, format, imageOpts },
      {
        writable: true,
        alone: unsafe,
        cache,
      },
    );
    const [top] = probe.layers;
    await probe.disk.close();
    if (compress && top.image.compressor === undefined) {
      throw new Failure('Compression not supported for this file format');
    }
    if (backingFormat !== undefined && !session.lamella.formats.includes(backingFormat)) {
      throw new Failure(`Invalid format name: '${backingFormat}'`);
    }
    const name = readImageName({ text, imageOpts, format }, session.secrets);
    const line = progressOf(session, settings, { title: 'rebase' });
    const named =
      backing === undefined || backing === ''
        ? undefined
        : { location: backing, format: backingFormat };
    try {
      if (!unsafe && named !== undefined) {
        await assertOpens(
          session.lamella.container.resolve(ChainResolver),
          named,
          top.storage.location,
        );
      }
      if (named !== undefined && backingFormat === undefined) {
        throw new Failure(
          `Could not change the backing file to '${backing}': backing format must be specified`,
        );
      }
      await rebaseImage(session.lamella.container.resolve(ChainResolver), imageOf(name), {
        format: name.format ?? top.format,
        backing: named,
        unsafe,
        compress,
        cache,
        passphrase: name.passphrase,
        passphrases: name.passphrases,
        dataFilesBeside: WORKING_DIRECTORY,
        signal: session.signal,
        onProgress: line.update,
      });
      line.finish();
    } catch (error) {
      line.end();
      if (isLamellaError(error, 'CHAIN_LOOP')) {
        // QEMU's locks are in the way of a file that is used twice.
        throw new Failure(
          `Could not open new backing file '${backing}': Failed to get shared "write" lock\n` +
            `Is another process using the image [${backing}]?`,
        );
      }
      throw isLamellaError(error)
        ? new Failure(
            `Could not change the backing file to '${backing ?? ''}': ${problemText(error)}`,
            { cause: error },
          )
        : error;
    }
    return 0;
  },
});

async function assertOpens(
  resolver: ChainResolver,
  named: { readonly location: string; readonly format: string | undefined },
  namedBy: string,
): Promise<void> {
  const name = resolver.resolveReference(named, namedBy);
  try {
    const chain = await resolver.open(name, {
      dataFilesBeside: WORKING_DIRECTORY,
      metadataOnly: true,
    });
    for (const { image, storage } of chain.layers) {
      await image.close();
      await storage.close();
    }
  } catch (error) {
    throw isLamellaError(error)
      ? new Failure(
          `Could not open new backing file '${named.location}': ${openFailureText(error, name.location)}`,
          { cause: error },
        )
      : error;
  }
}
