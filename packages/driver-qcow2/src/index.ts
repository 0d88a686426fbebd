/**
 * The qcow2 format, versions 2 and 3: compression, encryption, internal snapshots, dirty bitmaps, external data files,
 * extended L2 entries.
 *
 * @packageDocumentation
 */

import 'reflect-metadata';

export { CREATE_OPTIONS } from './create/options.js';
export { Qcow2Driver } from './driver.js';
