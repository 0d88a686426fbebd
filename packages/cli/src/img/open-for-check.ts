import {
  type BackingName,
  type CacheMode,
  ChainResolver,
  closeLayers,
  Disk,
  isLamellaError,
  LamellaError,
  type References,
  type Storage,
} from 'lamella';
import { Failure } from '../command-line/failure.js';
import type { Session } from '../command-line/session.js';
import { openFailureText } from '../messages/open-failure.js';
import { type ImageArgument, type OpenableName, readImageName } from './image-name.js';
import {
  assertFits,
  imageOf,
  type OpenImage,
  openFailure,
  WORKING_DIRECTORY,
  warnOf,
} from './open-image.js';
import { sharingOf } from './sharing.js';

/**
 * Opens an image that may be damaged, without what it refers to.
 *
 * @throws Failure `Could not open 'NAME': …`
 */
export async function openForCheck(
  session: Session,
  argument: ImageArgument,
  options: {
    readonly writable: boolean;
    readonly forceShare: boolean | undefined;
    readonly cache: CacheMode | undefined;
  },
): Promise<OpenImage> {
  let name: OpenableName | undefined;
  try {
    name = readImageName(argument, session.secrets);
    const forceShare = sharingOf(options, name);
    warnOf(session, name);
    const { backing } = name;
    const layer = await session.lamella.container.resolve(ChainResolver).openLayer(imageOf(name), {
      ...options,
      forceShare,
      passphrase: name.passphrase,
      dataFile: name.dataFile,
      forCheck: true,
      references: 'follow',
      dataFilesBeside: WORKING_DIRECTORY,
      dataFileIfAny: true,
      follow: async (references, { storage }) => {
        await assertDataFileOpens(session, references, name?.dataFile);
        await assertBackingOpens(session, references, storage, backing);
      },
    });
    await assertFits(name, [layer]);
    if (layer.image.encrypted === true && name.passphrase === undefined) {
      await closeLayers([layer]);
      throw new Failure("Parameter 'encrypt.key-secret' is required for cipher");
    }
    return { text: argument.text, name, disk: new Disk([layer]), layers: [layer] };
  } catch (error) {
    throw openFailure(error, argument.text, name);
  }
}

/** The data is none of a check's business, but qemu-img wants to have the file. */
async function assertDataFileOpens(
  { lamella }: Session,
  { dataFile }: References,
  given: string | undefined,
): Promise<void> {
  const path = given ?? dataFile?.location;
  if (path !== undefined) {
    const resolver = lamella.container.resolve(ChainResolver);
    const { driver, location } = resolver.resolveDataFile(path, WORKING_DIRECTORY);
    try {
      const storage = await driver.open(location, { writable: false });
      await storage.close();
    } catch (error) {
      throw isLamellaError(error, 'NOT_FOUND')
        ? new LamellaError('NOT_FOUND', `the data file '${path}' does not exist`, { cause: error })
        : error;
    }
  }
}

/** qemu-img checks no image whose backing file does not open. */
async function assertBackingOpens(
  { lamella }: Session,
  { backing }: References,
  storage: Storage,
  named: BackingName | undefined,
): Promise<void> {
  if (named === 'none' || (backing === undefined && named === undefined)) {
    return;
  }
  const resolver = lamella.container.resolve(ChainResolver);
  const written = backing && resolver.resolveReference(backing, storage.location);
  const location = named?.location ?? written?.location;
  if (location === undefined) {
    throw new Failure('Could not open backing file: A block device must be specified for "file"');
  }
  const image = {
    location,
    format: named?.format ?? written?.format,
    options: named?.options ?? written?.options,
    dataFile: named?.dataFile ?? written?.dataFile,
    backing: named?.backing ?? written?.backing,
  };
  try {
    const chain = await resolver.open(image, {
      dataFilesBeside: WORKING_DIRECTORY,
      metadataOnly: true,
    });
    await closeLayers(chain.layers);
  } catch (error) {
    throw isLamellaError(error)
      ? new Failure(`Could not open backing file: ${openFailureText(error, location)}`, {
          cause: error,
        })
      : error;
  }
}
