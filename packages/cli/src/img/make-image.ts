import type { BlockDriver, LongOperation, Passphrase } from 'lamella';
import type { Session } from '../command-line/session.js';
import { driverOptions, type OptionMap } from './format-options.js';
import { WORKING_DIRECTORY } from './open-image.js';

/**
 * Makes the image that `-o` and the like describe, over whatever was there.
 *
 * @param uncheckedBacking - do not look at the backing file
 * @throws Failure, LamellaError
 */
export async function makeImage(
  session: Session,
  filename: string,
  driver: BlockDriver,
  values: OptionMap,
  uncheckedBacking = false,
  operation: LongOperation = {},
): Promise<void> {
  const backing = values.get('backing_file');
  const backingFormat = values.get('backing_fmt');
  await session.lamella.create(filename, {
    format: driver.format,
    size: Number(values.get('size')),
    ...(typeof backing === 'string' && backing !== ''
      ? {
          backing: {
            location: backing,
            format: typeof backingFormat === 'string' ? backingFormat : undefined,
          },
        }
      : {}),
    uncheckedBacking,
    backingMetadataOnly: true,
    dataFilesBeside: WORKING_DIRECTORY,
    options: driverOptions(driver, values),
    passphrase: newPassphrase(session, values),
    overwrite: true,
    ...operation,
  });
}

/** The passphrase for a new, encrypted image. */
export function newPassphrase(session: Session, values: OptionMap): Passphrase | undefined {
  const id = values.get('encrypt.key-secret');
  return typeof id === 'string' ? session.secrets.get(id) : undefined;
}
