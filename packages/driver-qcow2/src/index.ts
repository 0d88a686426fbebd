import 'reflect-metadata';

export { CREATE_OPTIONS } from './create/options.js';
export { Qcow2Driver } from './driver.js';
