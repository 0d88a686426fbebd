import { causeOf, Failure } from '../command-line/failure.js';
import type { Session } from '../command-line/session.js';
import { createFailureText } from '../messages/create-failure.js';
import { type CommonSettings, cacheMode } from './common-options.js';
import { createSchema, type OptionMap, readOptions, setBacking } from './format-options.js';
import { isOpen } from './is-open.js';
import { makeImage, newPassphrase } from './make-image.js';
import { driverOf, type OpenImage, openImage } from './open-image.js';
import type { OpenSource } from './source-image.js';

/** Settings of `convert` that are of the target. */
export interface TargetSettings extends CommonSettings {
  targetImageOpts?: boolean;
  bitmaps?: boolean;
}

/**
 * The create options of the target.
 *
 * @throws Failure for what can't be
 */
export function targetOptions(
  session: Session,
  settings: TargetSettings,
  sources: readonly OpenSource[],
  format: string,
  size: number,
): OptionMap {
  const driver = driverOf(session, format);
  const values = readOptions(settings.options, createSchema(driver));
  setBacking(values, settings, driver);
  if (settings.compress === true && (values.get('preallocation') ?? 'off') !== 'off') {
    throw new Failure('Compression and preallocation not supported at the same time');
  }
  if (values.has('backing_file')) {
    if (sources.length > 1) {
      throw new Failure(
        'Having a backing file for the target makes no sense when concatenating multiple input images',
      );
    }
    const backingFmt = values.get('backing_fmt');
    if (backingFmt === undefined) {
      throw new Failure('Use of backing file requires explicit backing format');
    }
  }
  if (settings.compress === true && driver.supportsCompression !== true) {
    throw new Failure('Compression not supported for this file format');
  }
  if (settings.bitmaps === true) {
    if (sources.length > 1) {
      throw new Failure('Copying bitmaps only possible with single source');
    }
    if (driver.supportsBitmaps !== true) {
      throw new Failure(`Format driver '${format}' does not support bitmaps`);
    }
    if (sources[0]?.image.layers[0].image.bitmaps === undefined) {
      throw new Failure('Source lacks bitmap support');
    }
  }
  values.set('size', size);
  return values;
}

/**
 * Making the target would destroy a source that is the same file.
 *
 * @throws Failure
 */
export async function assertNotRead(
  session: Session,
  sources: readonly OpenSource[],
  text: string,
  format: string,
): Promise<void> {
  if (
    await isOpen(
      session,
      sources.map(({ image }) => image),
      text,
    )
  ) {
    throw new Failure(
      `${text}: error while converting ${format}: Failed to get "write" lock\n` +
        `Is another process using the image [${text}]?`,
    );
  }
}

/** Makes the target. */
export async function createTarget(
  session: Session,
  text: string,
  format: string,
  values: OptionMap,
): Promise<void> {
  try {
    // A backing file that is not there is noticed when the target is opened.
    assertBackingFormat(session, values);
    const { signal } = session;
    await makeImage(session, text, driverOf(session, format), values, true, { signal });
  } catch (error) {
    const why = error instanceof Failure ? error.message : createFailureText(error, text);
    throw new Failure(`${text}: error while converting ${format}: ${why}`, {
      cause: causeOf(error),
    });
  }
}

function assertBackingFormat(session: Session, values: OptionMap): void {
  const format = values.get('backing_fmt');
  if (format !== undefined && !values.has('backing_file')) {
    throw new Failure('Backing format cannot be used without backing file');
  }
  if (format !== undefined && !session.lamella.formats.includes(String(format))) {
    throw new Failure(`Parameter 'backing-fmt' does not accept value '${format}'`);
  }
}

/** Opens the target for writing. */
export async function openTarget(
  session: Session,
  settings: TargetSettings,
  text: string,
  format: string,
  values: OptionMap,
): Promise<OpenImage> {
  const byOptions = settings.targetImageOpts === true;
  return openImage(
    session,
    { text, format: byOptions ? undefined : format, imageOpts: byOptions },
    {
      writable: true,
      cache: cacheMode(settings.cache ?? 'unsafe'),
      passphrase: newPassphrase(session, values),
    },
  );
}
