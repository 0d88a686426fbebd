import { KIB } from './support/bytes.js';
import { crashSuite } from './support/crash-suite.js';
import { qed } from './support/image-spec.js';

crashSuite([qed(4 * KIB, 2), qed(64 * KIB, 4)]);
