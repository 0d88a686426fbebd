import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BLOCK_DRIVER, type BlockDriver, CORE_VERSION, type Image, Lamella } from 'lamella';
import t, { type Test } from 'tap';
import { container as globalContainer } from 'tsyringe';
import { place } from './support/golden.js';
import { failure, openFilesIn, sandbox } from './support/sandbox.js';
import { ToyDriver, toyFile } from './support/toy-driver.js';

/** What a driver written in JavaScript may do: nothing of it is believed by its type. */
function untyped<T>(value: unknown): T {
  return value as T;
}

function probing(answer: () => unknown): new () => BlockDriver {
  return class extends ToyDriver {
    override readonly format = 'broken';
    override probe(): number {
      return untyped(answer());
    }
  };
}

function rawFile(t: Test): { directory: string; path: string } {
  const directory = sandbox(t);
  const path = join(directory, 'plain.raw');
  writeFileSync(path, new Uint8Array(4096));
  return { directory, path };
}

const PROBES: readonly [what: string, answer: () => unknown, told: RegExp][] = [
  ['NaN', () => Number.NaN, /answered NaN/],
  ['1000', () => 1000, /answered 1000/],
  ['-1', () => -1, /answered -1/],
  ['nothing', () => undefined, /answered undefined/],
  ['text', () => '100', /answered '100'/],
  ['a promise', () => Promise.resolve(100), /answered a promise/],
  ['a promise that fails', () => Promise.reject(new Error('late')), /answered a promise/],
  [
    'an exception',
    () => {
      throw new TypeError('no such field');
    },
    /failed: no such field/,
  ],
];

for (const [what, answer, told] of PROBES) {
  t.test(`a probe that answers ${what}`, async (t) => {
    const { directory, path } = rawFile(t);
    const warnings: string[] = [];
    const lamella = new Lamella({ logger: { warn: (message) => warnings.push(message) } });
    lamella.register(probing(answer));
    await using known = await lamella.open(place(directory, 'plain.qed'));
    t.equal(known.format, 'qed', 'what another driver recognises opens');
    t.equal(warnings.length, 1);
    t.match(warnings[0], told);
    const error = await failure(() => lamella.open(path));
    t.equal(error.code, 'DRIVER_FAILED', 'it is not taken for raw');
    t.match(error.message, /plain\.raw: the 'broken' driver .* Give the format explicitly/);
    t.match(error.problem, told);
    await using named = await lamella.open(path, { format: 'raw' });
    t.equal(named.format, 'raw');
  });
}

function opening(open: () => unknown): new () => BlockDriver {
  return class extends ToyDriver {
    override readonly format = 'broken';
    override async open(): Promise<Image> {
      return untyped(await open());
    }
  };
}

const OPENS: readonly [what: string, open: () => unknown, told: RegExp][] = [
  [
    'throws a TypeError',
    () => {
      throw new TypeError('x is undefined');
    },
    /'broken' driver failed: x is undefined/,
  ],
  ['throws a text', () => Promise.reject('just so'), /failed: 'just so'/],
  ['gives nothing', () => undefined, /gave undefined instead of an image/],
  ['gives null', () => null, /gave null/],
  ['gives no size', () => ({ clusterSize: 1, references: {} }), /has the size undefined/],
  ['gives half a byte', () => ({ size: 0.5, clusterSize: 1, references: {} }), /size 0\.5/],
  [
    'gives clusters of nothing',
    () => ({ size: 1, clusterSize: 0, references: {} }),
    /cluster size 0/,
  ],
  ['gives no references', () => ({ size: 1, clusterSize: 1 }), /no 'references'/],
  ['gives no map', () => ({ size: 1, clusterSize: 1, references: {} }), /no method 'map'/],
];

for (const [what, open, told] of OPENS) {
  t.test(`an open that ${what}`, async (t) => {
    const { directory, path } = rawFile(t);
    const lamella = new Lamella().register(opening(open));
    const error = await failure(() => lamella.open(path, { format: 'broken' }));
    t.equal(error.code, 'DRIVER_FAILED');
    t.equal(error.location, path);
    t.match(error.message, told);
    t.match(error.hint, /fault of the driver/);
    t.same(openFilesIn(directory), []);
  });
}

t.test('an error of the caller passes through a driver as it is', async (t) => {
  const directory = sandbox(t);
  const path = place(directory, 'top.qed', 'middle.qcow2', 'base.raw');
  const mine = new RangeError('not from here');
  const references = (): never => {
    throw mine;
  };
  await t.rejects(new Lamella().open(path, { references, writable: true }), mine);
});

t.test('a create that fails with something else than a LamellaError', async (t) => {
  class Failing extends ToyDriver {
    override readonly format = 'failing';
    async create(): Promise<void> {
      throw new RangeError('half way');
    }
  }
  const directory = sandbox(t);
  const lamella = new Lamella().register(Failing);
  const path = join(directory, 'new');
  const error = await failure(() => lamella.create(path, { format: 'failing', size: 512 }));
  t.equal(error.code, 'DRIVER_FAILED');
  t.match(error.message, /new: the 'failing' driver failed: half way/);
});

const CLASSES: readonly [what: string, made: unknown, code: string, told: RegExp][] = [
  [
    'nothing of a driver',
    class Nothing {},
    'DRIVER_FAILED',
    /'?Nothing'? is no driver: it has no format/,
  ],
  [
    'a format that is no word',
    class Spaced extends ToyDriver {
      override readonly format = 'my format';
    },
    'DRIVER_FAILED',
    /the format name 'my format'/,
  ],
  [
    'no open',
    class Closed {
      readonly format = 'closed';
    },
    'DRIVER_FAILED',
    /no method 'open'/,
  ],
  [
    'an api version of the future',
    class Future extends ToyDriver {
      readonly apiVersion = untyped<1>(2);
    },
    'DRIVER_INCOMPATIBLE',
    /'toy' driver was built for version 2 .*, this is version 1.* Install releases/,
  ],
];

for (const [what, made, code, told] of CLASSES) {
  t.test(`a class with ${what}`, async (t) => {
    const driver = untyped<new () => BlockDriver>(made);
    const lamella = new Lamella();
    t.throws(() => lamella.register(driver), { name: 'LamellaError', code, message: told });
    t.same(lamella.formats, ['qcow2', 'qed', 'raw'], 'and the rest stays usable');
    const { path } = rawFile(t);
    await using disk = await lamella.open(path);
    t.equal(disk.format, 'raw');

    lamella.container.register(BLOCK_DRIVER, { useClass: driver });
    const error = await failure(() => lamella.open(path));
    t.equal(error.code, code, 'also by container registration');
    t.match(error.message, told);
  });
}

t.test('a class that can not be made', async (t) => {
  class Greedy extends ToyDriver {
    constructor(_codec: unknown) {
      super();
    }
  }
  const told = { name: 'LamellaError', code: 'DRIVER_FAILED', message: /Greedy.*injectable/ };
  const greedy = untyped<new () => BlockDriver>(Greedy);
  t.throws(() => new Lamella().register(greedy), told);
  const lamella = new Lamella();
  lamella.container.register(BLOCK_DRIVER, { useClass: greedy });
  t.throws(() => lamella.formats, told);
  t.match(await failure(() => lamella.open('x')), { code: 'DRIVER_FAILED' });
  const parent = globalContainer.createChildContainer();
  parent.register(BLOCK_DRIVER, { useClass: greedy });
  t.throws(() => new Lamella({ container: parent }), told);
});

t.test('an api version that fits', async (t) => {
  class Fitting extends ToyDriver {
    readonly apiVersion = 1;
  }
  const path = join(sandbox(t), 'disk.toy');
  writeFileSync(path, toyFile(new Uint8Array(512)));
  await using disk = await new Lamella().register(Fitting).open(path);
  t.equal(disk.format, 'toy');
});

t.test('core and the scaffold know the version of core', async (t) => {
  const core = new URL('../../../core/package.json', import.meta.url);
  t.equal(CORE_VERSION, JSON.parse(readFileSync(core, 'utf8')).version);
  const template = new URL('../../../create-lamella-driver/template/', import.meta.url);
  const { peerDependencies } = JSON.parse(readFileSync(new URL('_package.json', template), 'utf8'));
  t.equal(peerDependencies['@lamella/core'], `^${CORE_VERSION}`);
  t.match(readFileSync(new URL('src/driver.ts', template), 'utf8'), /apiVersion = 1;/);
});
