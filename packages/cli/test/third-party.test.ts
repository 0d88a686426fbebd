import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plainNode } from '@lamella/test-support';
import { isLamellaError, Lamella } from 'lamella';
import t from 'tap';

const repository = fileURLToPath(new URL('../../../../', import.meta.url));
const bin = join(repository, 'packages', 'cli', 'bin');
/** Outside the repository, so that nothing is found in ours that a user would not have. */
const project = realpathSync(mkdtempSync(join(tmpdir(), 'lamella-third-party-')));
t.teardown(() => rmSync(project, { recursive: true, force: true }));

function write(name: string, text: string): void {
  const path = join(project, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function run(program: 'img' | 'io', ...words: readonly string[]) {
  const { stdout, stderr, status } = spawnSync(
    ...plainNode(join(bin, `lamella-${program}.cjs`), ...words),
    { cwd: project, encoding: 'utf8' },
  );
  return { stdout, stderr, status };
}

/** A small format, as its author would write it; it may not use anything but `@lamella/core`. */
const DRIVER = `
import { LamellaError } from '@lamella/core';
const MAGIC = 'CARDFILE';
const HEAD = 512;
class CardImage {
  clusterSize = 1;
  references = {};
  #storage;
  constructor(storage, size, flavour) {
    this.#storage = storage;
    this.size = size;
    this.options = { flavour };
    this.details = { flavour, 'punched-holes': 80, nested: { deep: true } };
  }
  map(offset, length) { return { kind: 'data', length, storage: this.#storage, offset: offset + HEAD }; }
  place(offset, length) {
    return { kind: 'in-place', length, storage: this.#storage, offset: offset + HEAD, commit() {} };
  }
  async flush() { await this.#storage.flush(); }
  async close() {}
}
export class CardDriver {
  format = 'card';
  apiVersion = 1;
  createOptions = {
    flavour: { type: 'string', description: 'Kind of card', choices: ['plain', 'striped'], default: 'plain' },
    margin: { type: 'size', description: 'Bytes left free' },
  };
  probe(head) { return new TextDecoder().decode(head.subarray(0, 8)) === MAGIC ? 100 : 0; }
  async open(storage) {
    const head = new Uint8Array(HEAD);
    await storage.read(head, 0);
    const [magic, size, flavour] = new TextDecoder().decode(head).replace(/\\0+$/, '').split('\\n');
    if (magic !== MAGIC) {
      throw new LamellaError('WRONG_FORMAT', 'this is no card', { location: storage.location });
    }
    if (!/^\\d+$/.test(size)) {
      throw new LamellaError('INVALID_HEADER', 'the size is no number', { location: storage.location, offset: 9 });
    }
    return new CardImage(storage, Number(size), flavour);
  }
  async create(storage, { size, options }) {
    if (size > 2 ** 30) {
      throw new LamellaError('LIMIT_EXCEEDED', 'a card has at most 1 GiB');
    }
    await storage.truncate(HEAD + size);
    await storage.write(new TextEncoder().encode([MAGIC, size, options.flavour].join('\\n')), 0);
    await storage.flush();
  }
}
`;

function install(
  name: string,
  driver: string,
  manifest: Readonly<Record<string, unknown>> = {},
): void {
  const all = { name, version: '1.0.0', type: 'module', exports: './index.js', ...manifest };
  write(`node_modules/${name}/package.json`, JSON.stringify(all));
  write(`node_modules/${name}/index.js`, driver);
}

const PEER = { peerDependencies: { '@lamella/core': '^0.1.0' } };
install('lamella-driver-card', DRIVER, PEER);
// A copy of its own, as npm makes for a project beside a program that is installed globally.
const core = join(project, 'node_modules', '@lamella', 'core');
for (const part of ['package.json', 'dist']) {
  cpSync(join(repository, 'packages', 'core', part), join(core, part), { recursive: true });
}
for (const name of ['async-mutex', 'reflect-metadata', 'tsyringe', 'tslib']) {
  symlinkSync(join(repository, 'node_modules', name), join(project, 'node_modules', name));
}

const wants = (drivers: unknown): void =>
  write('package.json', JSON.stringify({ name: 'project', lamella: { drivers } }));

t.test('a driver from npm appears like a built-in one', async (t) => {
  wants(['lamella-driver-card']);
  t.same(run('img', 'create', '-f', 'card', '-o', 'help'), {
    stdout:
      'Supported card options:\n' +
      '  flavour=<str>          - Kind of card\n' +
      '  margin=<size>          - Bytes left free\n' +
      '  size=<size>            - Virtual disk size\n\n' +
      'The protocol level may support further options.\n' +
      'Specify the target filename to include those options.\n',
    stderr: '',
    status: 0,
  });
  t.same(run('img', 'create', '-f', 'card', '-o', 'flavour=striped', 'a.card', '64k'), {
    stdout: "Formatting 'a.card', fmt=card size=65536 flavour=striped\n",
    stderr: '',
    status: 0,
  });
  const human = run('img', 'info', 'a.card').stdout;
  t.match(human, /^image: a\.card\nfile format: card\nvirtual size: 64 KiB \(65536 bytes\)\n/);
  t.match(
    human,
    /\nFormat specific information:\n {4}flavour: striped\n {4}punched holes: 80\n {4}nested:\n {8}deep: true\n/,
  );
  const { 'format-specific': specific } = JSON.parse(
    run('img', 'info', '--output=json', 'a.card').stdout,
  );
  t.same(specific, {
    type: 'card',
    data: { flavour: 'striped', 'punched-holes': 80, nested: { deep: true } },
  });
  t.match(run('io', '-c', 'write -P 7 0 64k', '-c', 'read -P 7 0 64k', 'a.card'), {
    stdout: /wrote 65536\/65536[\s\S]*read 65536\/65536/,
    status: 0,
  });
  t.match(run('img', 'convert', '-O', 'qcow2', 'a.card', 'a.qcow2'), { stderr: '', status: 0 });
  t.match(run('img', 'compare', 'a.card', 'a.qcow2'), {
    stdout: 'Images are identical.\n',
    status: 0,
  });
});

t.test('its errors are told as those of a built-in driver', async (t) => {
  wants(['lamella-driver-card']);
  const texts: readonly [words: string, stderr: string | RegExp][] = [
    [
      'create -f card -o flavour=odd b.card 1k',
      "b.card: Parameter 'flavour' does not accept value 'odd'",
    ],
    ['create -f card -o colour=red b.card 1k', "b.card: Invalid parameter 'colour'"],
    ['create -f card b.card 2G', 'b.card: a card has at most 1 GiB'],
    ['info -f card a.qcow2', "Could not open 'a.qcow2': this is no card"],
    ['check a.card', 'This image format does not support checks'],
  ];
  for (const [words, told] of texts) {
    const { stderr, status } = run('img', ...words.split(' '));
    t.equal(stderr, `lamella-img.cjs: ${told}\n`, words);
    t.not(status, 0);
  }
  write('bad.card', 'CARDFILE\nmuch\nplain');
  t.equal(
    run('io', '-c', 'length', 'bad.card').stderr,
    "lamella-io.cjs: can't open device bad.card: the size is no number\n",
  );
});

t.test('in the library, by the name of the package', async (t) => {
  const lamella = await new Lamella().registerPackage('lamella-driver-card', project);
  t.same(lamella.formats, ['card', 'qcow2', 'qed', 'raw']);
  await using disk = await lamella.open(join(project, 'a.card'), { writable: true });
  t.same(disk.layers[0]?.options, { flavour: 'striped' });
  await disk.write(new Uint8Array(512).fill(9), 512);
  const error: unknown = await lamella.open(join(project, 'bad.card')).catch((each) => each);
  t.ok(isLamellaError(error, 'INVALID_HEADER'), 'though its class comes from another copy of core');
});

const FAULTS: readonly [
  name: string,
  driver: string,
  manifest: Readonly<Record<string, unknown>>,
  code: string,
  told: RegExp,
][] = [
  [
    'for-another-core',
    'import { noSuchThing } from "@lamella/core"; export class OldDriver {}',
    { peerDependencies: { '@lamella/core': '^2.0.0' } },
    'DRIVER_INCOMPATIBLE',
    /the driver package 'for-another-core' was built for @lamella\/core \^2\.0\.0, this is 0\.1\.0\. Install releases/,
  ],
  [
    'for-another-api',
    DRIVER.replace('apiVersion = 1', 'apiVersion = 7'),
    PEER,
    'DRIVER_INCOMPATIBLE',
    /the 'card' driver was built for version 7 of the driver interfaces, this is version 1\. Install/,
  ],
  [
    'no-driver',
    'export const answer = 42; export class Card {}',
    PEER,
    'DRIVER_NOT_FOUND',
    /the package 'no-driver' exports no driver\. Drivers are classes/,
  ],
  [
    'half-driver',
    'export default class Half { format = "half"; }',
    PEER,
    'DRIVER_FAILED',
    /'Half' is no driver/,
  ],
  [
    'throws',
    'throw new Error("not today")',
    PEER,
    'DRIVER_FAILED',
    /the driver package 'throws' can't be loaded: not today/,
  ],
  [
    'misspelt',
    'import "@lamella/kore"',
    PEER,
    'DRIVER_FAILED',
    /'misspelt' can't be loaded: Cannot find package '@lamella\/kore'/,
  ],
  [
    'second-qcow2',
    DRIVER.replace("format = 'card'", "format = 'qcow2'"),
    PEER,
    'DUPLICATE_DRIVER',
    /a driver for 'qcow2' is registered already/,
  ],
];

for (const [name, driver, manifest, code, told] of FAULTS) {
  t.test(`the package ${name}`, async (t) => {
    install(name, driver, manifest);
    const error: unknown = await new Lamella().registerPackage(name, project).catch((each) => each);
    t.ok(isLamellaError(error, code as never), code);
    t.match(error, { message: told });
    wants([]);
    const { stdout, stderr, status } = run('img', '--driver', name, 'info', 'a.qcow2');
    t.match(stderr, told, 'the same on the command line');
    t.match(stderr, /^lamella-img\.cjs: [^\n]*\n$/, 'in one line');
    t.same([stdout, status], ['', 1]);
  });
}

t.test('packages for import only, and others without a version to go by', async (t) => {
  wants([]);
  install('import-only', DRIVER, { exports: { '.': { import: './index.js' } } });
  install('from-source', DRIVER, { dependencies: { lamella: 'workspace:*' } });
  for (const name of ['import-only', 'from-source']) {
    t.match(run('img', `--driver=${name}`, 'info', 'a.card').stdout, /file format: card/, name);
  }
});

t.test('what package.json asks for', async (t) => {
  const info = (): unknown => {
    const { stdout, stderr, status } = run('img', 'info', 'a.qcow2');
    return [stdout === '', status, stderr];
  };
  const file = join(project, 'package.json');
  for (const drivers of ['lamella-driver-card', [1], [''], { card: true }, null]) {
    wants(drivers);
    const told = `${file}: "lamella.drivers" is not a list of packages. Write "lamella": { "drivers": ["NAME", "./PATH"] }.`;
    t.same(info(), drivers === null ? [false, 0, ''] : [true, 1, `lamella-img.cjs: ${told}\n`]);
  }
  write('package.json', '{ "lamella": { "drivers": [ }');
  t.match(info(), [true, 1, `lamella-img.cjs: ${file}: this is not valid JSON: `]);
  wants(['not-installed']);
  t.same(info(), [
    true,
    1,
    "lamella-img.cjs: there is no driver package 'not-installed'. " +
      `Install it in ${project} or above (npm install not-installed); a path to a file begins with ./ or /.\n`,
  ]);
  wants(['./node_modules/lamella-driver-card/index.js']);
  mkdirSync(join(project, 'below'), { recursive: true });
  const { stdout } = spawnSync(
    process.execPath,
    [join(bin, 'lamella-img.cjs'), 'info', '../a.card'],
    { cwd: join(project, 'below'), encoding: 'utf8' },
  );
  t.match(stdout, /file format: card/, 'paths start from the package.json');
});

t.test('a probe that fails', async (t) => {
  const throwing = DRIVER.replace("format = 'card'", "format = 'vague'").replace(
    'probe(head) {',
    'probe(head) { head.no.such;',
  );
  install('vague', throwing, PEER);
  wants(['vague']);
  t.match(run('img', 'info', 'a.qcow2'), { stdout: /file format: qcow2/, stderr: '', status: 0 });
  write('some.raw', 'x'.repeat(1024));
  t.match(run('img', 'info', 'some.raw'), {
    stdout: '',
    stderr:
      /^lamella-img\.cjs: Could not open 'some\.raw': the 'vague' driver can't tell whether this is one of its images: its probe failed: Cannot read properties of undefined/,
    status: 1,
  });
  t.match(run('img', 'info', '-f', 'raw', 'some.raw'), { stdout: /file format: raw/, status: 0 });
});
