/**
 * Reads and writes Parallels images (expanding): an example of a writable driver of a third party.
 *
 * @packageDocumentation
 */
export { ParallelsDriver } from './parallels-driver.js';
