import {
  type BackingName,
  type CacheMode,
  ChainResolver,
  closeLayers,
  Disk,
  isLamellaError,
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
    if (options.writable && options.forceShare === true) {
      throw new Failure('force-share=on can only be used with read-only images');
    }
    name = readImageName(argument, session.secrets);
    warnOf(session, name);
    const { backing } = name;
    const layer = await session.lamella.container.resolve(ChainResolver).openLayer(imageOf(name), {
      ...options,
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
    const storage = await driver.open(location, { writable: false });
    await storage.close();
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
