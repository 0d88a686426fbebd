import { LamellaError, type Reference, type Storage, viewOf } from '@lamella/core';
import { encodeName } from './backing-name.js';
import { FEATURE, FIELD, HEADER_BYTES } from './header-fields.js';

/**
 * Where a backing filename may stand in the first header cluster, which has 4 KiB at least. A name of
 * at most 1023 bytes never touches all three places, so a new one never overwrites the old one.
 */
const PLACES = [HEADER_BYTES, 1536, 3072] as const;

/**
 * Names another backing file, or none (specification: `backing_filename_offset`). The new name is
 * durable before the header points to it, and the header's fields are changed within one sector, so a
 * crash leaves either the old name or the new one.
 *
 * @param features - the header's `features` as they are
 * @returns the new `features`
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, and as `Storage.write` and `Storage.flush`
 */
export async function writeBacking(
  storage: Storage,
  features: number,
  backing: Reference | undefined,
): Promise<number> {
  const name = inContext(storage.location, () => encodeName(backing?.location));
  const header = new Uint8Array(HEADER_BYTES);
  await storage.read(header, 0);
  const view = viewOf(header);
  const offset = name.length === 0 ? 0 : placeBeside(view);
  if (name.length > 0) {
    await storage.write(name, offset);
    await storage.flush();
  }
  const others = features & ~(FEATURE.backingFile | FEATURE.backingFormatNoProbe);
  const changed = others | backingFeatures(backing);
  view.setUint32(FIELD.features, changed, true);
  view.setUint32(FIELD.backingFilenameOffset, offset, true);
  view.setUint32(FIELD.backingFilenameSize, name.length, true);
  await storage.write(header, 0);
  await storage.flush();
  return changed;
}

/** The bits of `features` that a backing file asks for. */
function backingFeatures(backing: Reference | undefined): number {
  if (backing === undefined) {
    return 0;
  }
  return FEATURE.backingFile | (backing.format === 'raw' ? FEATURE.backingFormatNoProbe : 0);
}

/** A place that the present name does not touch. */
function placeBeside(header: DataView): number {
  const old = header.getUint32(FIELD.backingFilenameOffset, true);
  const oldEnd = old + header.getUint32(FIELD.backingFilenameSize, true);
  const free = PLACES.find((place) => oldEnd <= place || old >= place + 1024);
  return free ?? HEADER_BYTES;
}

/** Adds the image to errors about the name alone. */
function inContext<T>(location: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof LamellaError) {
      const { code, problem, hint } = error;
      throw new LamellaError(code, problem, { location, hint, cause: error });
    }
    throw error;
  }
}
