import { type ChainResolver, Disk, parseImageName } from '../chain/index.js';
import type { CheckOptions, CheckResult } from '../driver/index.js';

/** How an image is found and checked. */
export interface CheckImageOptions extends CheckOptions {
  /** Format; found by content if not given. */
  readonly format?: string | undefined;
  /** Most bytes of cached metadata; 32 MiB by default. */
  readonly cacheSize?: number | undefined;
}

/**
 * Checks one image, and repairs it if asked to. Nothing that the image names is opened, and the image
 * itself for writing only if it is to be repaired.
 *
 * @param location - a path, a `scheme:` location or a `json:` name
 * @returns what was found; damage is no error
 * @throws LamellaError `UNSUPPORTED` for a format that has nothing to check, `ABORTED`, and what opening
 * the image throws: a damaged header is an error
 */
export async function check(
  resolver: ChainResolver,
  location: string,
  options: CheckImageOptions = {},
): Promise<CheckResult> {
  const { format, cacheSize, ...request } = options;
  const name = parseImageName(location, location);
  const layer = await resolver.openLayer(
    { ...name, format: format ?? name.format },
    { writable: (options.repair ?? 'none') !== 'none', cacheSize, forCheck: true },
  );
  await using disk = new Disk([layer]);
  return await disk.check(request);
}
