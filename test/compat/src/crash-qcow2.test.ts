import { KIB } from './support/bytes.js';
import { crashSuite } from './support/crash-suite.js';
import { extendedL2, qcow2 } from './support/image-spec.js';

crashSuite([
  qcow2(2, 512),
  qcow2(3, 512),
  qcow2(2, 4 * KIB),
  qcow2(3, 4 * KIB),
  qcow2(3, 64 * KIB),
  extendedL2(16 * KIB),
]);
