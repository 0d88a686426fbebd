/**
 * What `npm create lamella-driver` runs: makes the package of a new driver from a template.
 *
 * @packageDocumentation
 */

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
