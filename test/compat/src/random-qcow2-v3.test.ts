import { randomSuite, SPECS } from './support/random-suite.js';

randomSuite(SPECS.qcow2v3);
