import { randomSuite, SPECS } from './support/random-suite.js';

randomSuite(SPECS.qedAndRaw);
