export { QedDriver } from './qed-driver.js';
export { QedImage } from './qed-image.js';
