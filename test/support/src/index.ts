export { directory, paths } from './directory.js';
export { plainNode, withoutTap } from './plain-node.js';
export { needs, type Outcome, outcome, qemuIo, run } from './tools.js';
