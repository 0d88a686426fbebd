/** What a new driver package is made from. */
export interface DriverPlan {
  /** Folder to make, relative to the working directory. */
  readonly folder: string;
  /** Name of the format: one word of lower-case letters, digits, dots, dashes and underscores. */
  readonly format: string;
  /** Name of the npm package. */
  readonly packageName: string;
  /** One line. */
  readonly description: string;
  /** For `author` in package.json; may be empty. */
  readonly author: string;
  /** Where the API documentation of Lamella is published: links lead there. */
  readonly apiDocs: string;
}

/** Where links into Lamella's API documentation lead unless told otherwise. */
export const DEFAULT_API_DOCS = 'https://www.npmjs.com/package/@lamella/core';

/**
 * What is wrong with the name of a format.
 *
 * @returns undefined for a good name
 */
export function formatProblem(format: string): string | undefined {
  return /^[a-z][a-z0-9._-]*$/.test(format)
    ? undefined
    : `'${format}' is no name of a format: use lower-case letters, digits, dots, dashes and underscores`;
}

/**
 * What is wrong with the name of a package.
 *
 * @returns undefined for a good name
 */
export function packageProblem(name: string): string | undefined {
  return /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/.test(name) && name.length <= 214
    ? undefined
    : `'${name}' is no name of an npm package`;
}

/** The plan for a format when nothing else is said. */
export function defaultPlan(format: string): DriverPlan {
  return {
    folder: format,
    format,
    packageName: `lamella-driver-${format}`,
    description: `The ${format} format for Lamella`,
    author: '',
    apiDocs: DEFAULT_API_DOCS,
  };
}

/** The name of a format as the beginning of a class name: `my-format` becomes `MyFormat`. */
export function className(format: string): string {
  return format
    .split(/[._-]+/)
    .filter((word) => word !== '')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
