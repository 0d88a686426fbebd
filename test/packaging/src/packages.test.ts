import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { manifestProblems, typeProblems } from './support/lint.js';
import { filesIn, pack, packages } from './support/packages.js';

for (const pkg of packages()) {
  const { name } = pkg.manifest;
  t.test(name, async (t) => {
    const tarball = await pack(pkg, t.testdir());

    t.same(await manifestProblems(pkg), [], 'publint finds nothing');

    // Programs have nothing to import.
    if (pkg.manifest.exports !== undefined) {
      t.same(await typeProblems(tarball), [], 'attw finds nothing');
    }

    const files = await filesIn(tarball);
    const foreign = files.filter((file) =>
      /(^package\/(test|build|node_modules|tsconfig)|\.tsbuildinfo$|\.test\.|\.tap)/.test(file),
    );
    t.same(
      foreign.filter((file) => !file.startsWith('package/template/')),
      [],
      'no development files',
    );
    const entries = Object.values(pkg.manifest.bin ?? { '': 'dist/index.d.ts' });
    for (const entry of entries) {
      t.ok(files.includes(`package/${entry.replace(/^\.\//, '')}`), `${entry} is there`);
    }

    const { manifest } = pkg;
    t.ok(manifest.description, 'has a description');
    t.equal(manifest.license, 'MIT');
    t.ok(manifest.sideEffects !== undefined, 'says whether importing it has side effects');
    t.ok(manifest.files?.includes('dist'), 'says which files belong to it');
    const declared = Object.keys({
      ...manifest.dependencies,
      ...manifest.optionalDependencies,
      ...manifest.peerDependencies,
      [name]: '',
    });
    const undeclared = new Set<string>();
    for (const file of files.filter((each) => /^package\/dist\/.*(\.js|\.d\.ts)$/.test(each))) {
      const text = await readFile(join(pkg.folder, file.slice('package/'.length)), 'utf8');
      for (const [, imported = ''] of text.matchAll(
        /^(?:import|export)\b[^;]*?\bfrom ['"]([^'"]+)['"]/gm,
      )) {
        const packageName = imported
          .split('/')
          .slice(0, imported.startsWith('@') ? 2 : 1)
          .join('/');
        if (!/^(\.|#|node:)/.test(imported) && !declared.includes(packageName)) {
          undeclared.add(packageName);
        }
      }
    }
    t.same([...undeclared], [], 'imports nothing that is not declared');
  });
}
