import {
  type LongOperation,
  type OptionValues,
  parseOptions,
  type ResizeContext,
} from '@lamella/core';
import { AMEND_KEY_OPTIONS } from '../encryption/luks/amend.js';
import { unsupported } from '../errors.js';
import { rewriteHeader } from '../header/rewrite.js';
import { checkResize } from '../resize/check-resize.js';
import { type ResizableImage, Resizer } from '../resize/resizer.js';
import type { WriteParts } from '../write-parts.js';
import { amendedHeader } from './amend-header.js';
import { readAmendOptions } from './options.js';
import { planAmendment } from './plan.js';
import { RefcountConverter } from './refcount-converter.js';
import { completeSnapshots, downgraded, upgraded } from './upgrade.js';
import { ZeroExpander } from './zero-expander.js';

/**
 * Changes what `AMEND_OPTIONS` lists. All refusals come before any change; then each step leaves an image that
 * is whole, with the same content.
 *
 * @throws LamellaError as `readAmendOptions`, `planAmendment`, {@link Resizer.resize} and the keys' `amendKeys`;
 * `ABORTED`, `NO_SPACE`, `CORRUPT`, `IO_ERROR`
 */
export async function amendImage(
  image: ResizableImage,
  options: OptionValues,
  operation: LongOperation,
  context: ResizeContext,
): Promise<void> {
  const { storage, header, geometry } = image.parts();
  const request = readAmendOptions(options, storage.location);
  const plan = await planAmendment(storage, header, request);
  const { size } = request;
  if (size !== undefined) {
    const version = plan.version === 3 ? 3 : header.version;
    checkResize({ ...header, version }, geometry, size, {}, storage.location);
  }
  if (request.keys !== undefined) {
    await amendKeys(image.parts(), request.keys);
  }
  if (plan.version > header.version) {
    await image.restructure(completeSnapshots);
    await image.restructure((parts, now) => rewriteHeader(parts.storage, upgraded(now)));
  }
  await image.restructure((parts, now) =>
    rewriteHeader(parts.storage, amendedHeader(now, request, plan)),
  );
  if (plan.refcountOrder !== header.refcountOrder) {
    await image.restructure((parts) =>
      new RefcountConverter(parts, plan.refcountOrder, operation).convert(),
    );
  }
  if (size !== undefined) {
    await new Resizer(image, context).resize(size, operation);
  }
  if (plan.version < header.version) {
    await image.restructure((parts, now) => new ZeroExpander(parts, now, operation).expand());
    await image.restructure((parts, now) => rewriteHeader(parts.storage, downgraded(now)));
  }
}

async function amendKeys(
  { encryption, storage }: WriteParts,
  options: OptionValues,
): Promise<void> {
  const values = parseOptions(AMEND_KEY_OPTIONS, options, 'amending a qcow2 image');
  if (encryption === undefined) {
    throw unsupported(storage.location, 'the image is not encrypted', 'It has no keys to change.');
  }
  await encryption.amend(values, storage);
}
