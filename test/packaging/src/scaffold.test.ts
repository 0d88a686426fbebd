import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assertSiteIsCurrent, SITE } from '@lamella/docs-tests/site';
import t from 'tap';
import { pack, packages } from './support/packages.js';

const run = promisify(execFile);
const NEEDED = ['@lamella/core', '@lamella/driver-testkit', 'create-lamella-driver'];
const API_DOCS = 'https://docs.example/api';

t.test(
  'from an empty folder with only the tarballs: a driver that passes and documents itself',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'lamella-scaffold-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const tarballs: string[] = [];
    for (const name of NEEDED) {
      const pkg = packages().find(({ manifest }) => manifest.name === name);
      if (pkg === undefined) {
        throw new Error(`there is no package ${name}`);
      }
      tarballs.push(await pack(pkg, folder));
    }
    const [core = '', testkit = '', create = ''] = tarballs;
    const npm = ['--prefer-offline', '--no-audit', '--no-fund'];
    const npx = ['--yes', '--prefer-offline', '--package', create, 'create-lamella-driver'];
    const timed = async (what: string, command: string, args: readonly string[], cwd: string) => {
      const began = performance.now();
      const { stdout } = await run(command, [...args], { cwd, maxBuffer: 2 ** 26 });
      t.comment(`${what}: ${Math.round(performance.now() - began)} ms`);
      return stdout;
    };

    await timed(
      'create',
      'npx',
      [
        '--yes',
        '--prefer-offline',
        '--package',
        create,
        'create-lamella-driver',
        'my-format',
        '--yes',
        '--description',
        'A "quoted" format',
        '--api-docs',
        API_DOCS,
      ],
      folder,
    );
    const made = join(folder, 'my-format');
    t.equal(
      JSON.parse(readFileSync(join(made, 'package.json'), 'utf8')).description,
      'A "quoted" format',
    );
    await timed('npm install', 'npm', ['install', ...npm, '--save-dev', core, testkit], made);
    const results = await timed('npm test', 'npm', ['test', '--silent'], made);
    t.match(results, /^(?:#|ℹ) fail 0$/m);
    t.ok(Number(/^(?:#|ℹ) pass (\d+)$/m.exec(results)?.[1]) > 300, 'hundreds of checks');
    await timed('npm run docs', 'npm', ['run', 'docs', '--silent'], made);
    const page = await readFile(join(made, 'docs/api/classes/MyFormatDriver.html'), 'utf8');
    t.match(
      page,
      `${API_DOCS}/interfaces/_lamella_core.BlockDriver.html`,
      'links into our documentation',
    );
    const linked = await linksTo(API_DOCS, join(made, 'docs/api'));
    t.ok(linked.length > 4, `${linked.length} pages of ours are linked to`);
    assertSiteIsCurrent();
    t.same(
      linked.filter((link) => link !== '' && !existsSync(join(SITE, link))),
      [],
      'each of them is a page of our site',
    );
    const again = run('npx', [...npx, 'my-format', '--yes'], { cwd: folder });
    const refused: unknown = await again.then(
      () => 'it was made again',
      (error: unknown) => error,
    );
    t.match(refused, { stderr: /is not empty/ }, 'nothing is overwritten');
  },
);

/** What a site links to below an address, without that address. */
async function linksTo(address: string, site: string): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const entry of await readdir(site, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith('.html')) {
      const html = await readFile(join(entry.parentPath, entry.name), 'utf8');
      for (const [, link = ''] of html.matchAll(/href="([^"]*)"/g)) {
        if (link.startsWith(address)) {
          found.add(link.slice(address.length).replace(/^\//, ''));
        }
      }
    }
  }
  return [...found];
}
