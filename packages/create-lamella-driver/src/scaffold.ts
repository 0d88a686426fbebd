import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  className,
  DEFAULT_API_DOCS,
  type DriverPlan,
  formatProblem,
  packageProblem,
} from './plan.js';

/** Pages of what the API of a driver names, by the tokens of the template. */
const API_PAGES: Readonly<Record<string, string>> = {
  API_AWAITABLE: 'types/_lamella_core.Awaitable.html',
  API_BLOCK_DRIVER: 'interfaces/_lamella_core.BlockDriver.html',
  API_CREATE_OPTIONS: 'interfaces/_lamella_core.CreateOptions.html',
  API_ERROR: 'classes/_lamella_core.LamellaError.html',
  API_EXTENT: 'types/_lamella_core.Extent.html',
  API_IMAGE: 'interfaces/_lamella_core.Image.html',
  API_OPEN_OPTIONS: 'interfaces/_lamella_core.OpenOptions.html',
  API_OPTION_SCHEMA: 'types/_lamella_core.OptionSchema.html',
  API_PLACEMENT: 'types/_lamella_core.Placement.html',
  API_REFERENCES: 'interfaces/_lamella_core.References.html',
  API_STORAGE: 'interfaces/_lamella_core.Storage.html',
};

const TEMPLATE = fileURLToPath(new URL('../template', import.meta.url));

/** A folder or name that a package can't be made of. */
export class ScaffoldError extends Error {
  /** Always `ScaffoldError`. */
  override readonly name = 'ScaffoldError';
}

/**
 * Makes the package. Nothing is overwritten: the folder has to be empty, or not there.
 *
 * @returns the files that were made, relative to the folder, sorted
 * @throws ScaffoldError for a name that is none, or a folder that holds something
 */
export async function scaffold(plan: DriverPlan): Promise<readonly string[]> {
  const problem = formatProblem(plan.format) ?? packageProblem(plan.packageName);
  if (problem !== undefined) {
    throw new ScaffoldError(problem);
  }
  const folder = resolve(plan.folder);
  if ((await existing(folder)).length > 0) {
    throw new ScaffoldError(`${folder} is not empty`);
  }
  const made: string[] = [];
  for (const source of await filesBelow(TEMPLATE)) {
    // npm leaves .gitignore files out of packages, and a package in a package confuses tools.
    const name = relative(TEMPLATE, source)
      .replace(/^_gitignore$/, '.gitignore')
      .replace(/^_package\.json$/, 'package.json');
    const target = join(folder, name);
    await mkdir(dirname(target), { recursive: true });
    const text = await readFile(source, 'utf8');
    await writeFile(target, fill(text, plan, name.endsWith('.json')), { flag: 'wx' });
    made.push(name);
  }
  return made.sort();
}

function fill(text: string, plan: DriverPlan, json: boolean): string {
  const values: Readonly<Record<string, string>> = {
    FORMAT: plan.format,
    CLASS: className(plan.format),
    PACKAGE: plan.packageName,
    DESCRIPTION: plan.description,
    AUTHOR: plan.author,
    API_DOCS: plan.apiDocs,
    ...Object.fromEntries(
      Object.entries(API_PAGES).map(([token, page]) => [token, link(plan.apiDocs, page)]),
    ),
  };
  return text.replace(/__([A-Z_]+?)__/g, (token, name: string) => {
    const value = values[name];
    if (value === undefined) {
      return token;
    }
    return json ? JSON.stringify(value).slice(1, -1) : value;
  });
}

/** A page of the site that typedoc makes of our packages, where one was named. */
function link(apiDocs: string, page: string): string {
  return apiDocs === DEFAULT_API_DOCS ? apiDocs : `${apiDocs.replace(/\/$/, '')}/${page}`;
}

async function existing(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return [];
    }
    throw new ScaffoldError(`${folder} can't be used: ${String(error)}`);
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
