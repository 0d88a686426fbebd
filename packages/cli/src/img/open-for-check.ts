import { type CacheMode, ChainResolver, Disk } from 'lamella';
import { Failure } from '../command-line/failure.js';
import type { Session } from '../command-line/session.js';
import { type ImageArgument, type OpenableName, readImageName } from './image-name.js';
import { type OpenImage, openFailure } from './open-image.js';

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
    const layer = await session.lamella.container
      .resolve(ChainResolver)
      .openLayer(name, { ...options, passphrase: name.passphrase, forCheck: true });
    return { text: argument.text, disk: new Disk([layer]), layers: [layer] };
  } catch (error) {
    throw openFailure(session, error, argument.text, name);
  }
}
