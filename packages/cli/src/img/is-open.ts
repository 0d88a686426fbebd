import { isLamellaError, StorageRegistry } from 'lamella';
import type { Session } from '../command-line/session.js';
import type { OpenImage } from './open-image.js';

/** Whether a file that is about to be made anew is one that is being read. */
export async function isOpen(
  session: Session,
  images: readonly OpenImage[],
  location: string,
): Promise<boolean> {
  const { driver } = session.lamella.container.resolve(StorageRegistry).resolve(location);
  try {
    const existing = await driver.open(location, { writable: false });
    await existing.close();
    return images.some(({ layers }) =>
      layers.some(({ storage }) => storage.identity === existing.identity),
    );
  } catch (error) {
    if (isLamellaError(error)) {
      return false;
    }
    throw error;
  }
}
