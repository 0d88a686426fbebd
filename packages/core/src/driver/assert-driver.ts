import { LamellaError } from '../errors/index.js';
import type { BlockDriver } from './block-driver.js';

/**
 * Version of the interfaces between drivers and this package. It rises with every release that a driver written
 * for the one before could not work with; see {@link BlockDriver.apiVersion}.
 */
export const DRIVER_API_VERSION = 1;

const FORMAT_NAME = /^[a-z0-9][a-z0-9._-]*$/;

/**
 * Makes sure that something can be a driver: by its shape, and by what it was built for.
 *
 * @param value - what a registered class made
 * @param who - what to call it while its format is not known: the name of the class
 * @throws LamellaError `DRIVER_FAILED`, `DRIVER_INCOMPATIBLE`
 */
export function assertDriver(value: unknown, who: string): asserts value is BlockDriver {
  const { format, open, apiVersion } = parts(value);
  if (typeof format !== 'string' || !FORMAT_NAME.test(format)) {
    const name = format === undefined ? 'no format' : `the format name ${shown(format)}`;
    throw notADriver(who, `it has ${name}`);
  }
  if (apiVersion !== undefined && apiVersion !== DRIVER_API_VERSION) {
    throw new LamellaError(
      'DRIVER_INCOMPATIBLE',
      `the '${format}' driver was built for version ${shown(apiVersion)} of the driver interfaces, this is ` +
        `version ${DRIVER_API_VERSION}`,
      { hint: 'Install releases of the driver and of Lamella that go together.' },
    );
  }
  if (typeof open !== 'function') {
    throw notADriver(who, "it has no method 'open'");
  }
}

function parts(value: unknown): { format?: unknown; open?: unknown; apiVersion?: unknown } {
  return typeof value === 'object' && value !== null ? value : {};
}

function notADriver(who: string, why: string): LamellaError {
  return new LamellaError('DRIVER_FAILED', `${who === '' ? 'a class' : who} is no driver: ${why}`, {
    hint: 'A driver has a `format` (lower-case letters, digits, dots, dashes, underscores) and `open`.',
  });
}

/** A value in a message: short, and without running any of its code. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `'${value.slice(0, 40)}'`;
    case 'object':
      return value === null ? 'null' : 'an object';
    case 'function':
      return 'a function';
    default:
      return String(value);
  }
}
