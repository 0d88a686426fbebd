import {
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
import { type OpenImage, openFailure, WORKING_DIRECTORY } from './open-image.js';

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
    const layer = await session.lamella.container.resolve(ChainResolver).openLayer(name, {
      ...options,
      passphrase: name.passphrase,
      forCheck: true,
      follow: (references, { storage }) => assertBackingOpens(session, references, storage),
    });
    if (layer.image.encrypted === true && name.passphrase === undefined) {
      await closeLayers([layer]);
      throw new Failure("Parameter 'encrypt.key-secret' is required for cipher");
    }
    return { text: argument.text, name, disk: new Disk([layer]), layers: [layer] };
  } catch (error) {
    throw openFailure(error, argument.text, name);
  }
}

/** qemu-img checks no image whose backing file does not open. */
async function assertBackingOpens(
  { lamella }: Session,
  { backing }: References,
  { location }: Storage,
): Promise<void> {
  if (backing === undefined) {
    return;
  }
  const resolver = lamella.container.resolve(ChainResolver);
  const name = resolver.resolveReference(backing, location);
  try {
    const chain = await resolver.open(name.location, {
      format: name.format,
      options: name.options,
      dataFilesBeside: WORKING_DIRECTORY,
      metadataOnly: true,
    });
    await closeLayers(chain.layers);
  } catch (error) {
    throw isLamellaError(error)
      ? new Failure(`Could not open backing file: ${openFailureText(error, name.location)}`, {
          cause: error,
        })
      : error;
  }
}
