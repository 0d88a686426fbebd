import type { Storage } from '@lamella/core';
import { LamellaError } from '@lamella/core';
import { hasValidBitmaps } from '../access.js';
import { unsupported } from '../errors.js';
import { EXTENSION, findExtension } from '../header/extensions.js';
import { COMPATIBLE, hasFeature, INCOMPATIBLE } from '../header/features.js';
import { type Header, MAX_BACKING_NAME } from '../header/header.js';
import { sizesOf } from '../snapshots/entry.js';
import type { AmendRequest } from './options.js';
import { readSnapshotEntries } from './snapshot-entries.js';

/** What an image is to have afterwards. */
export interface AmendPlan {
  readonly version: 2 | 3;
  readonly refcountOrder: number;
  readonly lazyRefcounts: boolean;
}

/**
 * Decides what an amendment comes to, and refuses what can't be, before anything is changed.
 *
 * @throws LamellaError `UNSUPPORTED`, `INVALID_ARGUMENT`
 */
export async function planAmendment(
  storage: Storage,
  header: Header,
  request: AmendRequest,
): Promise<AmendPlan> {
  const { location } = storage;
  const version = request.version ?? header.version;
  const plan = {
    version,
    refcountOrder: request.refcountOrder ?? header.refcountOrder,
    lazyRefcounts:
      request.lazyRefcounts ??
      (version === 3 && hasFeature(header.compatible, COMPATIBLE.lazyRefcounts)),
  };
  if (version === 2) {
    assertVersion2(header, plan, location);
    if (header.version === 3) {
      await assertSnapshotsFit(storage, header, request.size ?? header.size);
    }
  }
  assertDataFile(header, request, location);
  assertBacking(header, request, location);
  return plan;
}

/** Version 2 must be able to say all that the image is. */
function assertVersion2(header: Header, plan: AmendPlan, location: string): void {
  const hint = 'Stay at compat=1.1, or convert the image.';
  if (plan.refcountOrder !== 4) {
    throw unsupported(
      location,
      `compat=0.10 has refcounts of 16 bits only, not ${2 ** plan.refcountOrder}`,
      'Say refcount_bits=16, or stay at compat=1.1.',
    );
  }
  if (plan.lazyRefcounts) {
    throw unsupported(location, 'compat=0.10 has no lazy refcounts', hint);
  }
  if (hasFeature(header.incompatible, INCOMPATIBLE.extendedL2)) {
    throw unsupported(location, 'compat=0.10 has no extended L2 entries', hint);
  }
  if (header.compressionType !== 'zlib') {
    throw unsupported(
      location,
      `compat=0.10 has no compression by ${header.compressionType}`,
      hint,
    );
  }
  if (hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile)) {
    throw unsupported(location, 'compat=0.10 has no external data file', hint);
  }
  if (hasValidBitmaps(header)) {
    throw unsupported(
      location,
      'compat=0.10 has no persistent bitmaps',
      'Remove them first, or stay at compat=1.1.',
    );
  }
}

/** In version 2, snapshots are as large as the disk and hold no machine state beyond it that QEMU would take. */
async function assertSnapshotsFit(storage: Storage, header: Header, size: number): Promise<void> {
  for (const entry of await readSnapshotEntries(storage, header)) {
    const { vmStateSize, diskSize = header.size } = sizesOf(entry);
    if (vmStateSize > 0 || diskSize !== size) {
      throw unsupported(
        storage.location,
        'compat=0.10 has no snapshots with machine state or with a size of their own',
        'Delete such snapshots first, or stay at compat=1.1.',
      );
    }
  }
}

function assertDataFile(header: Header, request: AmendRequest, location: string): void {
  const external = hasFeature(header.incompatible, INCOMPATIBLE.externalDataFile);
  if (request.dataFileRaw === true) {
    throw unsupported(
      location,
      "data_file_raw can't be turned on for an image that exists",
      'Its data file may hold bytes that the image does not show.',
    );
  }
  if (request.dataFile !== undefined && !external) {
    throw unsupported(
      location,
      'only an image with an external data file can be given another name for it',
      'Convert the image to one with data_file.',
    );
  }
}

function assertBacking(header: Header, request: AmendRequest, location: string): void {
  const { backingFile, backingFormat } = request;
  const name = backingFile ?? header.backing?.location ?? '';
  if (backingFormat !== undefined && name === '') {
    throw new LamellaError('INVALID_ARGUMENT', 'there is no backing file to have a format', {
      location,
      hint: 'Give backing_file, too.',
    });
  }
  if (new TextEncoder().encode(name).length > MAX_BACKING_NAME) {
    throw new LamellaError('LIMIT_EXCEEDED', 'the backing file name is too long', {
      location,
      hint: `At most ${MAX_BACKING_NAME} bytes are possible.`,
    });
  }
  if (
    backingFile !== undefined &&
    backingFile !== '' &&
    findExtension(header.extensions, EXTENSION.externalDataFile) !== undefined &&
    hasFeature(header.autoclear, 1)
  ) {
    throw unsupported(
      location,
      'an image whose data file is a raw image by itself has no backing file',
      'Turn data_file_raw off first.',
    );
  }
}
