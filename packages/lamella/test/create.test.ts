import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CreateImageOptions, Lamella } from 'lamella';
import t from 'tap';
import { diskSum, goldenSum, place, readAll } from './support/golden.js';
import { failure, openFilesIn, photograph, sandbox } from './support/sandbox.js';
import { HalfwayDriver } from './support/toy-driver.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const lamella = new Lamella();

t.test('makes images of every format, closed and ready to open', async (t) => {
  const directory = sandbox(t);
  for (const [format, options] of [
    ['raw', {}],
    ['qcow2', { cluster_size: '4k', compat: '0.10' }],
    ['qcow2', { cluster_size: 2 * MIB, extended_l2: true }],
    ['qed', { cluster_size: '4k', table_size: 1 }],
  ] as const) {
    const path = join(directory, `${format}-${Object.values(options).join('-')}`);
    await lamella.create(path, { format, size: 3 * MIB + 512, options });
    t.same(openFilesIn(directory), []);
    await using disk = await lamella.open(path);
    t.equal(disk.format, format, 'found by content');
    t.equal(disk.size, 3 * MIB + 512);
    t.ok((await readAll(disk)).every((byte) => byte === 0));
  }
});

t.test('an existing file is not touched', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'precious');
  writeFileSync(path, 'the only copy');
  mkdirSync(join(directory, 'folder'));
  symlinkSync(path, join(directory, 'link'));
  symlinkSync(join(directory, 'gone'), join(directory, 'dangling'));
  const before = photograph(directory);
  for (const format of ['raw', 'qcow2', 'qed']) {
    for (const name of ['precious', 'link']) {
      const error = await failure(() =>
        lamella.create(join(directory, name), { format, size: MIB }),
      );
      t.equal(error.code, 'ALREADY_EXISTS');
      t.equal(error.location, join(directory, name));
      t.ok(error.hint);
    }
    const error = await failure(() =>
      lamella.create(join(directory, 'folder'), { format, size: MIB, overwrite: true }),
    );
    t.equal(error.code, 'NOT_A_FILE');
    const hanging = await failure(() =>
      lamella.create(join(directory, 'dangling'), { format, size: MIB }),
    );
    t.equal(hanging.code, 'ALREADY_EXISTS', 'a dangling link is something that exists');
  }
  t.same(photograph(directory), before);
  await lamella.create(path, { format: 'qcow2', size: MIB, overwrite: true });
  await using disk = await lamella.open(path);
  t.equal(disk.format, 'qcow2', 'overwrite: true replaces it');
});

t.test('a mistake in the options is found before anything is touched', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'precious');
  writeFileSync(path, 'the only copy');
  place(directory, 'base.raw');
  const before = photograph(directory);
  const size = MIB;
  const cases: readonly (CreateImageOptions & { readonly code: string })[] = [
    { format: 'vhdx', size, code: 'UNKNOWN_FORMAT' },
    { format: 'qcow2', code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size: -1, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size: 1.5, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size: Number.NaN, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size: 2 ** 53, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size, options: { cluster_size: 1000 }, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size, options: { cluster_size: '4M' }, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size, options: { cluster_size: 'big' }, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size, options: { compat: '2.0' }, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size, options: { clustersize: '4k' }, code: 'INVALID_ARGUMENT' },
    { format: 'qcow2', size, options: { constructor: 'x' }, code: 'INVALID_ARGUMENT' },
    { format: 'qed', size, options: { cluster_size: 512 }, code: 'INVALID_ARGUMENT' },
    { format: 'qed', size, options: { table_size: 3 }, code: 'INVALID_ARGUMENT' },
    { format: 'qed', size, backing: 'absent.raw', code: 'NOT_FOUND' },
    {
      format: 'qcow2',
      size,
      backing: { location: 'base.raw', format: 'vmdk' },
      code: 'UNKNOWN_FORMAT',
    },
    {
      format: 'qcow2',
      size,
      backing: { location: 'base.raw', format: 'qed' },
      code: 'WRONG_FORMAT',
    },
    { format: 'raw', size, backing: 'base.raw', code: 'UNSUPPORTED' },
    { format: 'qcow2', size, backing: 'nbd:localhost:1', code: 'UNKNOWN_SCHEME' },
    { format: 'qcow2', size, backing: `${'x'.repeat(1024)}`, code: 'INVALID_ARGUMENT' },
  ];
  for (const { code, ...options } of cases) {
    const error = await failure(() => lamella.create(path, { ...options, overwrite: true }));
    t.equal(error.code, code, error.message);
    const fresh = join(directory, 'fresh');
    t.equal((await failure(() => lamella.create(fresh, options))).code, code);
    t.notOk(existsSync(fresh));
    t.same(openFilesIn(directory), []);
  }
  t.same(photograph(directory), before);
});

t.test('a failure while writing leaves no half-made file', async (t) => {
  const directory = sandbox(t);
  const broken = new Lamella().register(HalfwayDriver);
  await t.rejects(broken.create(join(directory, 'new'), { format: 'halfway', size: MIB }));
  t.same(photograph(directory), {});
  t.same(openFilesIn(directory), []);
  const nowhere = join(directory, 'no', 'such', 'folder');
  t.equal(
    (await failure(() => lamella.create(nowhere, { format: 'raw', size: MIB }))).code,
    'NOT_FOUND',
  );
});

t.test('backing file: relative to the image, size and format taken and stored', async (t) => {
  const directory = sandbox(t);
  place(directory, 'top.qed', 'middle.qcow2', 'base.raw');
  mkdirSync(join(directory, 'sub'));
  const path = join(directory, 'sub', 'over.qcow2');
  const before = photograph(directory);
  await lamella.create(path, { format: 'qcow2', backing: '../top.qed' });
  const { 'sub/over.qcow2': made, sub: _, ...rest } = photograph(directory);
  t.ok(made);
  const { sub: _before, ...untouched } = before;
  t.same(rest, untouched, 'the backing chain was only read');
  t.same(openFilesIn(directory), []);
  await using disk = await lamella.open(path);
  t.equal(disk.size, 80 * KIB);
  t.same(disk.layers[0]?.references.backing, { location: '../top.qed', format: 'qed' });
  t.equal(disk.layers.length, 4);
  t.equal(await diskSum(disk), goldenSum('top.qed'));
});

t.test('backing file: a size and a format of its own', async (t) => {
  const directory = sandbox(t);
  place(directory, 'v3.qcow2');
  const path = join(directory, 'over.qcow2');
  await lamella.create(path, {
    format: 'qcow2',
    size: MIB,
    backing: { location: 'v3.qcow2', format: 'raw' },
  });
  await using disk = await lamella.open(path);
  t.equal(disk.size, MIB);
  t.equal(disk.layers[1]?.format, 'raw', 'what the caller says goes before what it looks like');
  const head = new Uint8Array(4);
  await disk.read(head, 0);
  t.same([...head], [0x51, 0x46, 0x49, 0xfb]);

  // QED can only store "raw"; a raw backing must stay raw even if a guest writes a header into it.
  const qed = join(directory, 'over.qed');
  await lamella.create(qed, { format: 'qed', backing: { location: 'v3.qcow2', format: 'raw' } });
  await using other = await lamella.open(qed);
  t.equal(other.layers[1]?.format, 'raw');
  t.equal(other.size, statSync(join(directory, 'v3.qcow2')).size);
});

t.test('json: names', async (t) => {
  const directory = sandbox(t);
  const top = place(directory, 'top.qed', 'middle.qcow2', 'base.raw');
  for (const name of [
    { driver: 'qed', file: { driver: 'file', filename: top } },
    { driver: 'qed', 'file.filename': top },
    { driver: 'qed', 'file.driver': 'file', 'file.filename': top, 'read-only': true },
  ]) {
    await using disk = await lamella.open(`json:${JSON.stringify(name)}`);
    t.equal(await diskSum(disk), goldenSum('top.qed'));
  }
  await using plain = await lamella.open(
    `json:${JSON.stringify({ driver: 'raw', file: { driver: 'file', filename: top } })}`,
  );
  t.equal(plain.format, 'raw', 'the driver in the name counts');

  t.test('as a backing name, relative to the image that holds it', async (t) => {
    mkdirSync(join(directory, 'deep'));
    const path = join(directory, 'deep', 'over.qcow2');
    const reference = `json:${JSON.stringify({ driver: 'qed', file: { driver: 'file', filename: '../top.qed' } })}`;
    await lamella.create(path, { format: 'qcow2', backing: reference });
    await using disk = await lamella.open(path);
    t.equal(disk.layers[0]?.references.backing?.location, reference, 'stored as given');
    t.equal(await diskSum(disk), goldenSum('top.qed'));
  });

  t.test('file names in it are taken literally', async (t) => {
    mkdirSync(join(directory, 'a%41'));
    const literal = place(join(directory, 'a%41'), 'plain.qed');
    for (const filename of [literal, `/${literal}`, `//${literal}`]) {
      await using disk = await lamella.open(`json:${JSON.stringify({ file: { filename } })}`);
      t.equal(await diskSum(disk), goldenSum('plain.qed'), 'slashes do not make a URL');
    }
  });

  t.test('names that make no sense', async (t) => {
    for (const [name, code] of [
      ['json:', 'INVALID_ARGUMENT'],
      ['json:{', 'INVALID_ARGUMENT'],
      ['json:[]', 'INVALID_ARGUMENT'],
      ['json:null', 'INVALID_ARGUMENT'],
      ['json:{"driver":"qed"}', 'UNSUPPORTED'],
      ['json:{"driver":7,"file.filename":"x"}', 'INVALID_ARGUMENT'],
      ['json:{"driver":"qed","file":{"driver":"nbd","filename":"x"}}', 'UNKNOWN_SCHEME'],
      ['json:{"driver":"qed","file":{"driver":"file","filename":"x","offset":5}}', 'UNSUPPORTED'],
      ['json:{"driver":"nosuch","file":{"filename":"top.qed"}}', undefined],
      [`json:{"a":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`, 'INVALID_ARGUMENT'],
      [`json:{"driver":"${'x'.repeat(70_000)}"}`, 'LIMIT_EXCEEDED'],
      ['json:{"__proto__":{"filename":"x"},"file.filename":"/nonexistent"}', undefined],
    ] as const) {
      const error = await failure(() => lamella.open(name));
      t.equal(
        error.code,
        code ?? error.code,
        `${name.slice(0, 60)}: ${error.message.slice(0, 90)}`,
      );
    }
    t.same(openFilesIn(directory), []);
  });
});

t.test('an image cannot be its own backing file, and is not destroyed for it', async (t) => {
  const directory = sandbox(t);
  const path = place(directory, 'base.raw');
  const error = await failure(() =>
    lamella.create(path, { format: 'qcow2', backing: 'base.raw', overwrite: true }),
  );
  t.ok(error.hint ?? error.message, 'an image cannot be its own backing file');
  t.equal(readFileSync(path).length, 48 * KIB, 'and the base is not destroyed for it');
});
