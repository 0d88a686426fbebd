/**
 * Reads VirtualBox disk images (VDI): an example of a third party's driver.
 *
 * @packageDocumentation
 */
export { VdiDriver } from './vdi-driver.js';
