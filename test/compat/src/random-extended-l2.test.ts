import { randomSuite, SPECS } from './support/random-suite.js';

randomSuite(SPECS.extendedL2);
