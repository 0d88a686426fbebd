import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { manifestProblems, typeProblems } from './support/lint.js';
import { exampleDrivers, filesIn, type Package, pack, packages, ROOT } from './support/packages.js';

const run = promisify(execFile);
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
/** What a driver may import beside its own files. */
const PUBLIC = ['@lamella/core'];

/** Options of the programs that the scaffold makes, without its folders. */
async function thirdPartyOptions(): Promise<object> {
  const template = join(ROOT, 'packages', 'create-lamella-driver', 'template', 'tsconfig.json');
  const { compilerOptions } = JSON.parse(await readFile(template, 'utf8'));
  return { ...compilerOptions, skipLibCheck: false };
}

/**
 * Puts a package into `node_modules` of a folder, from its tarball, with links to what others published.
 *
 * @returns the tarball
 */
async function install(pkg: Package, folder: string): Promise<string> {
  const target = join(folder, 'node_modules', pkg.manifest.name);
  await mkdir(target, { recursive: true });
  const tarball = await pack(pkg, folder);
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', target]);
  for (const name of Object.keys(pkg.manifest.dependencies ?? {})) {
    const link = join(folder, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), link);
  }
  return tarball;
}

async function compile(folder: string, options: object): Promise<void> {
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: { ...(await thirdPartyOptions()), ...options },
      include: ['src'],
    }),
  );
  try {
    await run(process.execPath, [TSC, '-p', folder]);
  } catch (error) {
    const { stdout } = Object(error);
    throw new Error(stdout || String(error));
  }
}

/** What the files of a folder import, without what lies in the folder. */
async function importsOf(folder: string): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const file of await readdir(folder, { recursive: true })) {
    if (/\.[cm]?ts$/.test(file)) {
      const text = await readFile(join(folder, file), 'utf8');
      for (const [, , name = ''] of text.matchAll(
        /\b(from|import|import\s*\(|require\s*\()\s*['"]([^'"]+)['"]/g,
      )) {
        found.add(name);
      }
    }
  }
  return [...found].filter((name) => !/^\.\/[^.]/.test(name)).sort();
}

const core = packages().find(({ manifest }) => manifest.name === '@lamella/core');
if (core === undefined) {
  throw new Error('there is no @lamella/core');
}

// Outside of this repository, whose packages nobody can find from there. What is installed in it is found from
// every folder in it.
const project = await mkdtemp(join(tmpdir(), 'lamella-examples-'));
t.teardown(() => rm(project, { recursive: true }));
await writeFile(join(project, 'package.json'), '{ "type": "module" }');
await install(core, project);
t.ok(exampleDrivers().length > 0, 'there are drivers among the examples');

for (const driver of exampleDrivers()) {
  const { name, peerDependencies, dependencies = {} } = driver.manifest;
  t.test(name, async (t) => {
    t.same(await importsOf(join(driver.folder, 'src')), PUBLIC, 'imports nothing but the library');
    t.same(Object.keys({ ...peerDependencies, ...dependencies }), PUBLIC, 'and says so');

    const folder = join(project, basename(driver.folder));
    await mkdir(folder);
    const tarball = await install(driver, folder);
    t.same(await manifestProblems(driver), [], 'publint finds nothing');
    t.same(await typeProblems(tarball), [], 'attw finds nothing');
    const files = await filesIn(tarball);
    t.same(
      files.filter((file) => /^package\/(test|build|tsconfig)|\.test\.|\.tsbuildinfo$/.test(file)),
      [],
      'no development files',
    );

    await cp(join(driver.folder, 'src'), join(folder, 'src'), { recursive: true });
    await compile(folder, {});
    t.pass('its source compiles with the packed library and the options of the scaffold');

    const user = join(folder, 'user');
    await mkdir(join(user, 'src'), { recursive: true });
    await writeFile(
      join(user, 'src', 'index.ts'),
      `import type { BlockDriver } from '@lamella/core';
import * as drivers from '${name}';
export const made: readonly BlockDriver[] = Object.entries(drivers)
  .filter(([name]) => name.endsWith('Driver'))
  .map(([, Class]) => new Class());
console.log(made.map(({ format }) => format).join());
`,
    );
    await compile(user, {});
    const { stdout } = await run(process.execPath, [join(user, 'dist', 'index.js')]);
    t.equal(stdout.trim(), name.replace('@lamella-examples/driver-', ''), 'and it runs');
  });
}
