import { parseArgs } from 'node:util';
import type { DriverPlan } from './plan.js';

/** What was said on the command line. */
export interface Arguments {
  /** Name of the format, if it was given. */
  readonly format: string | undefined;
  /** Ask nothing. */
  readonly yes: boolean;
  /** Show the help and end. */
  readonly help: boolean;
  /** Parts of the plan that were given. */
  readonly given: Partial<Omit<DriverPlan, 'format'>>;
}

/** The help text. */
export const HELP = `Usage: npm create lamella-driver [format] [-- options]

Makes the package of a new block driver for Lamella.

  -y, --yes                 ask nothing, take the defaults
  -d, --folder <path>       folder to make; the name of the format by default
  -p, --package <name>      name of the npm package; lamella-driver-<format> by default
      --description <text>  one line
      --author <name>       for package.json
      --api-docs <url>      where the API documentation of Lamella is, for links
  -h, --help                this text
`;

/**
 * Reads the command line.
 *
 * @throws TypeError for an option that there is not
 */
export function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      yes: { type: 'boolean', short: 'y', default: false },
      folder: { type: 'string', short: 'd' },
      package: { type: 'string', short: 'p' },
      description: { type: 'string' },
      author: { type: 'string' },
      'api-docs': { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { folder, package: packageName, description, author } = values;
  const apiDocs = values['api-docs'];
  return {
    format: positionals[0],
    yes: values.yes,
    help: values.help,
    given: {
      ...(folder === undefined ? {} : { folder }),
      ...(packageName === undefined ? {} : { packageName }),
      ...(description === undefined ? {} : { description }),
      ...(author === undefined ? {} : { author }),
      ...(apiDocs === undefined ? {} : { apiDocs }),
    },
  };
}
