export { RawDriver } from './raw-driver.js';
export { RawImage } from './raw-image.js';
