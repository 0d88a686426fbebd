/**
 * The QED format, with free space that is found again.
 *
 * @packageDocumentation
 */

export { QedDriver } from './qed-driver.js';
export { QedImage } from './qed-image.js';
