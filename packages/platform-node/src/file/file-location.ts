import { isAbsolute, sep } from 'node:path';
import { LamellaError } from '@lamella/core';

const SCHEME = 'file:';
const LOOKS_LIKE_SCHEME = /^[a-z][a-z0-9+.-]*:/i;

/**
 * The path that a location means: a plain path, `file:PATH` (taken literally, as QEMU does) or
 * `file:///PATH` (a URL, percent-decoded).
 *
 * @throws LamellaError `INVALID_ARGUMENT` for an empty location, one with a NUL byte, or a `file://`
 * URL that names another host or is badly encoded
 */
export function pathOf(location: string): string {
  const path = location.startsWith(SCHEME) ? pathOfScheme(location) : location;
  if (path === '') {
    throw new LamellaError('INVALID_ARGUMENT', 'the file name is empty', {
      location,
      hint: 'Name a file.',
    });
  }
  if (path.includes('\0')) {
    throw new LamellaError('INVALID_ARGUMENT', 'the file name contains a NUL byte', {
      location: location.replaceAll('\0', '\\0'),
      hint: 'No file can have that name; if an image gives it, the image is damaged.',
    });
  }
  return path;
}

function pathOfScheme(location: string): string {
  const rest = location.slice(SCHEME.length);
  if (!rest.startsWith('//')) {
    return rest;
  }
  const path = rest.slice(2).replace(/^localhost(?=\/)/, '');
  if (!path.startsWith('/')) {
    throw new LamellaError('INVALID_ARGUMENT', 'a file URL that names another host', {
      location,
      hint: 'Write file:///PATH with three slashes, or the plain path.',
    });
  }
  const decoded = decode(path, location);
  return process.platform === 'win32' ? decoded.replace(/^\/(?=[a-z]:)/i, '') : decoded;
}

function decode(path: string, location: string): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw new LamellaError('INVALID_ARGUMENT', 'a file URL with a bad percent sign', {
      location,
      hint: 'Write a percent sign as %25, or use the plain path.',
      cause,
    });
  }
}

/**
 * The path that a reference within an image means: relative to the directory of that image.
 *
 * `..` is left for the operating system, which follows links before it goes up; shortening the text
 * here could name another file.
 *
 * @throws LamellaError `INVALID_ARGUMENT` as {@link pathOf}
 */
export function resolvePath(reference: string, base: string): string {
  const path = pathOf(reference);
  if (isAbsolute(path)) {
    return path;
  }
  const from = pathOf(base);
  const cut = Math.max(from.lastIndexOf('/'), sep === '\\' ? from.lastIndexOf('\\') : -1);
  const resolved = from.slice(0, cut + 1) + path;
  // A name like nbd:x is a file here and must not become a scheme for whoever reads the result.
  return LOOKS_LIKE_SCHEME.test(resolved) && !isAbsolute(resolved) ? `./${resolved}` : resolved;
}
