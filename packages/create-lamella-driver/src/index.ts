export { type Arguments, HELP, readArguments } from './arguments.js';
export {
  className,
  DEFAULT_API_DOCS,
  type DriverPlan,
  defaultPlan,
  formatProblem,
  packageProblem,
} from './plan.js';
export { ScaffoldError, scaffold } from './scaffold.js';
