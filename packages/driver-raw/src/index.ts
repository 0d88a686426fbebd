/**
 * The raw format: the file is the disk. The smallest complete driver.
 *
 * @packageDocumentation
 */

export { RawDriver } from './raw-driver.js';
export { RawImage } from './raw-image.js';
