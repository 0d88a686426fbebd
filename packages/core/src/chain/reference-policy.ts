import { LamellaError } from '../errors/index.js';
import type { StorageName } from '../storage/index.js';

/** An implicit open that an image asks for, before anything of it is touched. */
export interface ReferenceRequest {
  /** What the file is to be: the layer below, or where the image keeps the guest's data. */
  readonly kind: 'backing' | 'data-file';
  /** The name as written in the image. */
  readonly reference: string;
  /** Where that leads, resolved against the image that names it; links are not followed yet. */
  readonly location: string;
  /** Format that the image gives for it. */
  readonly format: string | undefined;
  /** Location of the image that names it. */
  readonly namedBy: string;
}

/**
 * Which files an image may make us open. Everything that is opened because an image says so passes
 * this gate; files that the caller names do not.
 *
 * - `'follow'`: all. For images you trust.
 * - `'deny'`: none; only the files that the caller names are touched. The image opens, its references
 *   show in `disk.layers`, and reading a range that a file left out holds is an error. An image whose data
 *   file is left out can't be opened for writing.
 * - `'skip'`: those that exist; a missing file is left out as with `'deny'`.
 * - `{ within }`: files whose real path, symbolic links followed, is inside one of the directories.
 *   Anything else fails the open.
 * - a function: true to open, false to fail.
 */
export type ReferencePolicy =
  | 'follow'
  | 'deny'
  | 'skip'
  | {
      /** Directories whose files, at any depth, may be opened. */
      readonly within: readonly string[];
    }
  | ((request: ReferenceRequest) => boolean | Promise<boolean>);

/**
 * Asks the policy about a reference.
 *
 * @returns the location to open, or undefined to leave the file out
 * @throws LamellaError `REFERENCE_DENIED`, and what looking up a path throws
 */
export async function admitReference(
  policy: ReferencePolicy,
  request: ReferenceRequest,
  target: StorageName,
): Promise<string | undefined> {
  if (policy === 'deny') {
    return undefined;
  }
  if (policy === 'follow' || policy === 'skip') {
    return target.location;
  }
  if (typeof policy === 'function') {
    if (!(await policy(request))) {
      throw denied(request, 'the reference policy refuses it');
    }
    return target.location;
  }
  if (target.driver.scheme !== 'file') {
    throw denied(request, 'it is not a file');
  }
  const real = await realTarget(policy.within, request, target);
  for (const directory of policy.within) {
    if (isInside(real, await target.driver.realLocation(directory))) {
      return real;
    }
  }
  throw denied(request, `it is outside ${policy.within.join(', ') || 'every allowed directory'}`);
}

/** The real path; a missing file is only called missing where the image was allowed to look. */
async function realTarget(
  within: readonly string[],
  request: ReferenceRequest,
  { driver, location }: StorageName,
): Promise<string> {
  try {
    return await driver.realLocation(location);
  } catch (error) {
    const climbs = location.split(/[\\/]/).includes('..');
    if (!climbs && within.some((directory) => isInside(location, directory))) {
      throw error;
    }
    throw denied(request, 'it is not known to be inside an allowed directory');
  }
}

function isInside(path: string, directory: string): boolean {
  const separator = directory.includes('\\') ? '\\' : '/';
  const prefix = directory.endsWith(separator) ? directory : directory + separator;
  return path.startsWith(prefix);
}

const LABELS = { backing: 'backing file', 'data-file': 'data file' } as const;

function denied(request: ReferenceRequest, why: string): LamellaError {
  return new LamellaError(
    'REFERENCE_DENIED',
    `its ${LABELS[request.kind]} '${request.reference}' may not be opened: ${why}`,
    {
      location: request.namedBy,
      hint: "Allow it in `references`, or open with references: 'deny' to look at this file alone.",
    },
  );
}
