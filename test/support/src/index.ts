export { folder, paths } from './folder.js';
export { plainNode, withoutTap } from './plain-node.js';
export { needs, type Outcome, outcome, qemuIo, run } from './tools.js';
