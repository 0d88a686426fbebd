export { __CLASS__Driver } from './driver.js';
export type { Layout } from './header.js';
export { __CLASS__Image } from './image.js';
