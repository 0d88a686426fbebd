import type { CacheMode, OptionValue } from 'lamella';
import { Failure } from '../command-line/failure.js';
import { parseOptionList } from '../command-line/option-list.js';
import { takeRuntimeOptions } from '../img/runtime-options.js';
import type { OpenedImage } from './opened-image.js';

/** Options of an image that may be changed while it is open. */
const CHANGEABLE =
  /^(file\.)?(read-only|cache\.(direct|no-flush|writeback)|auto-read-only|discard|detect-zeroes|force-share)$/;
/** The same for qcow2 images alone. */
const CHANGEABLE_IN_QCOW2 =
  /^(lazy-refcounts|pass-discard-.*|discard-no-unref|overlap-check.*|l2-cache-.*|refcount-cache-size|cache-size|cache-clean-interval)$/;

/**
 * What a list of options changes of an open image. What it repeats as it is may be there.
 *
 * @param given - what was given by letters, too
 * @throws Failure
 */
export function changesOf(
  options: string,
  given: { readonly mode: boolean; readonly cache: boolean },
  image: OpenedImage,
): { readonly writable?: boolean; readonly cache?: CacheMode } {
  const values = valuesOf(options);
  const readOnly = values.get('read-only');
  if (readOnly !== undefined && given.mode) {
    throw new Failure("Cannot set both -r/-w and 'read-only'");
  }
  const direct = values.get('cache.direct');
  const noFlush = values.get('cache.no-flush');
  if (given.cache && (direct !== undefined || noFlush !== undefined)) {
    throw new Failure('Cannot set both -c and the cache options');
  }
  const { disk } = image;
  const assertFits = takeRuntimeOptions(new Map<string, OptionValue>(values), disk.format);
  assertFits(disk.openLayers[0].image.clusterSize);
  assertChangeable(values, image);
  if (readOnly === 'on') {
    throw new Failure("Read-only block node '#block0' cannot support read-write users");
  }
  const cache = noFlush === 'on' ? 'unsafe' : direct === 'on' ? 'none' : undefined;
  return {
    ...(readOnly === undefined ? {} : { writable: true }),
    ...(cache === undefined ? {} : { cache }),
  };
}

function assertChangeable(values: ReadonlyMap<string, string>, image: OpenedImage): void {
  const current = currentOf(image);
  for (const [name, value] of values) {
    if (name === 'file' || name === 'backing') {
      throw new Failure(`Cannot find device='' nor node-name='${value}'`);
    }
    const known = image.disk.format === 'qcow2' && CHANGEABLE_IN_QCOW2.test(name);
    if (!known && !CHANGEABLE.test(name) && current.get(name) !== value) {
      const option = name.replace(/^(file\.|backing\.)+/, '');
      throw new Failure(`Cannot change the option '${option}'`);
    }
  }
}

/** The options that the image has. */
function currentOf({ disk, request }: OpenedImage): ReadonlyMap<string, string> {
  const current = new Map(Object.entries({ driver: disk.format, 'file.driver': 'file' }));
  if (request.path !== undefined) {
    current.set('file.filename', request.path);
  }
  let prefix = '';
  for (const { format } of disk.openLayers.slice(1)) {
    prefix += 'backing.';
    current.set(`${prefix}driver`, format).set(`${prefix}file.driver`, 'file');
  }
  return new Map([...current, ...valuesOf(request.options ?? '')]);
}

function valuesOf(options: string): ReadonlyMap<string, string> {
  const list = options === '' ? [] : parseOptionList(options);
  return new Map(list.map(({ name, value }) => [name, value ?? 'on']));
}
