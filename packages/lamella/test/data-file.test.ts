import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcome, qemuIo, run } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';
import { readAt } from './support/files.js';
import { skipWithoutQemu } from './support/qemu.js';
import { failure, openFilesIn, photograph, sandbox } from './support/sandbox.js';

const MIB = 1024 * 1024;
const SIZE = 3 * MIB + 512;
const lamella = new Lamella();

t.test('makes an image and its data file', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'a.qcow2');
  for (const raw of [false, true]) {
    await lamella.create(path, {
      format: 'qcow2',
      size: SIZE,
      options: { data_file: 'a.data', data_file_raw: raw },
      overwrite: true,
    });
    t.equal(statSync(`${directory}/a.data`).size, SIZE, 'as long as the disk');
    t.same(openFilesIn(directory), []);
    await using disk = await lamella.open(path, { writable: true });
    t.match(disk.layers[0]?.options, { data_file: 'a.data', data_file_raw: raw });
    t.equal(disk.layers[0]?.dataFile, join(directory, 'a.data'));
    await disk.write(new Uint8Array(1000).fill(5), SIZE - 1000);
    await disk.write(new Uint8Array(1000).fill(6), 0);
    await disk.close();
    const data = readFileSync(`${directory}/a.data`);
    t.equal(data.length, SIZE, 'it does not outgrow the disk');
    t.equal(data[0], 6);
    t.equal(data[SIZE - 1], 5);
  }
});

t.test('keep_data_file takes a file as it is', async (t) => {
  const directory = sandbox(t);
  const [path, data] = [join(directory, 'a.qcow2'), join(directory, 'a.data')];
  const make = (options: Record<string, string | boolean>) =>
    lamella.create(path, {
      format: 'qcow2',
      size: SIZE,
      options: { data_file: 'a.data', keep_data_file: true, ...options },
      overwrite: true,
    });
  t.equal((await failure(() => make({}))).code, 'NOT_FOUND', 'it has to be there');
  t.notOk(existsSync(path), 'the image is gone again');
  for (const length of [MIB + 100, SIZE, SIZE + 5]) {
    writeFileSync(data, new Uint8Array(length).fill(3));
    await make({ data_file_raw: true });
    t.equal(statSync(data).size, Math.max(length, SIZE));
    await using disk = await lamella.open(path);
    t.equal((await readAt(disk, MIB, 1))[0], 3, 'the disk shows what it holds');
    t.equal((await readAt(disk, SIZE - 1, 1))[0], length < SIZE ? 0 : 3);
  }
  await make({});
  await using empty = await lamella.open(path);
  t.equal((await readAt(empty, MIB, 1))[0], 0, 'without data_file_raw, nothing refers to it');
  t.equal(readFileSync(data)[MIB], 3);
});

t.test('a failure leaves what was there', async (t) => {
  const directory = sandbox(t);
  const at = (name: string) => join(directory, name);
  writeFileSync(at('precious'), 'the only copy');
  await lamella.create(at('base'), { format: 'qcow2', size: MIB });
  await lamella.create(at('split'), {
    format: 'qcow2',
    size: MIB,
    options: { data_file: 'split.data' },
  });
  const before = photograph(directory);
  const refusals = [
    ['ALREADY_EXISTS', { data_file: 'precious' }, {}],
    ['ALREADY_EXISTS', { data_file: 'new' }, {}],
    ['CHAIN_LOOP', { data_file: 'new' }, { overwrite: true }],
    ['CHAIN_LOOP', { data_file: 'base' }, { overwrite: true, backing: 'base' }],
    ['CHAIN_LOOP', { data_file: 'base', keep_data_file: true }, { backing: 'base' }],
    ['CHAIN_LOOP', { data_file: 'split.data' }, { overwrite: true, backing: 'split' }],
    ['NOT_FOUND', { data_file: 'missing/new' }, {}],
    ['INVALID_ARGUMENT', { data_file: '' }, {}],
    ['INVALID_ARGUMENT', { data_file_raw: true }, {}],
    ['INVALID_ARGUMENT', { keep_data_file: true }, {}],
    ['INVALID_ARGUMENT', { data_file: 'd', compat: '0.10' }, {}],
    ['INVALID_ARGUMENT', { data_file: 'd', data_file_raw: true }, { backing: 'base' }],
    ['INVALID_ARGUMENT', { data_file: 'd'.repeat(500), cluster_size: 512 }, {}],
  ] as const;
  for (const [code, options, more] of refusals) {
    const error = await failure(() =>
      lamella.create(at('new'), { format: 'qcow2', size: MIB, options, ...more }),
    );
    t.equal(error.code, code, `${JSON.stringify(options)}: ${error.message}`);
    t.ok(error.hint, code);
    t.same(photograph(directory), before, 'all is as it was');
  }
  t.same(openFilesIn(directory), []);
});

t.test('an overlay in memory has no data file', async (t) => {
  const directory = sandbox(t);
  await lamella.create(join(directory, 'base'), { format: 'raw', size: MIB });
  await using disk = await lamella.open(join(directory, 'base'));
  const error = await failure(() => lamella.overlay(disk, { options: { data_file: 'x' } }));
  t.equal(error.code, 'UNSUPPORTED');
});

t.test('overlays keep their data in a data file', async (t) => {
  const directory = sandbox(t);
  const at = (name: string) => join(directory, name);
  await lamella.create(at('base'), { format: 'raw', size: MIB });
  writeFileSync(at('base'), new Uint8Array(MIB).fill(1));
  await lamella.create(at('top'), {
    format: 'qcow2',
    backing: 'base',
    options: { data_file: 'top.data', cluster_size: '64k' },
  });
  {
    await using disk = await lamella.open(at('top'), { writable: true });
    await disk.write(new Uint8Array(10).fill(2), 70_000);
    await disk.discard(3 * 65_536, 65_536);
    t.equal((await readAt(disk, 69_999, 1))[0], 1, 'copied on write');
    t.equal((await readAt(disk, 3 * 65_536, 1))[0], 0);
  }
  const { copied, emptied } = await lamella.commit(at('top'));
  t.same({ copied, emptied }, { copied: 65_536, emptied: true });
  const base = readFileSync(at('base'));
  t.same([base[69_999], base[70_000], base[3 * 65_536]], [1, 2, 0]);
  {
    await using disk = await lamella.open(at('top'));
    t.equal((await readAt(disk, 70_000, 1))[0], 2, 'the empty overlay shows its base');
    const kinds = [];
    for await (const { layer } of disk.extents()) {
      kinds.push(layer);
    }
    t.notOk(kinds.includes(0));
  }
  writeFileSync(at('other'), base);
  await lamella.rebase(at('top'), { backing: { location: 'other', format: 'raw' }, unsafe: true });
  await using moved = await lamella.open(at('top'));
  t.equal(moved.layers[1]?.location, at('other'));
  t.equal((await readAt(moved, 70_000, 1))[0], 2);
});

t.test('a base with a data file takes a commit', async (t) => {
  const directory = sandbox(t);
  const at = (name: string) => join(directory, name);
  await lamella.create(at('base'), {
    format: 'qcow2',
    size: MIB,
    options: { data_file: 'base.data', data_file_raw: true },
  });
  await lamella.create(at('top'), { format: 'qcow2', backing: 'base' });
  {
    await using disk = await lamella.open(at('top'), { writable: true });
    await disk.write(new Uint8Array(10).fill(2), 70_000);
    t.equal(readFileSync(at('base.data'))[70_000], 0);
  }
  await lamella.commit(at('top'));
  t.equal(readFileSync(at('base.data'))[70_000], 2);
  t.same(openFilesIn(directory), []);
});

t.test('compose makes a top layer with a data file', async (t) => {
  const directory = sandbox(t);
  const at = (name: string) => join(directory, name);
  writeFileSync(at('base'), new Uint8Array(MIB).fill(1));
  await using disk = await lamella.compose([
    { location: at('top'), format: 'qcow2', create: true, options: { data_file: 'top.data' } },
    { location: at('base'), format: 'raw' },
  ]);
  await disk.write(new Uint8Array(10).fill(2), 70_000);
  t.same([...(await readAt(disk, 69_999, 2))], [1, 2]);
  t.equal(disk.layers[0]?.dataFile, at('top.data'));
  await disk.close();
  t.same(openFilesIn(directory), []);
});

t.test('with data_file_raw there is no backing file', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'a');
  writeFileSync(join(directory, 'base'), new Uint8Array(MIB));
  const options = { data_file: 'a.data', data_file_raw: true };
  await lamella.create(path, { format: 'qcow2', size: MIB, options });
  const error = await failure(() =>
    lamella.rebase(path, { backing: { location: 'base', format: 'raw' }, unsafe: true }),
  );
  t.equal(error.code, 'UNSUPPORTED');
});

t.test('cache modes go for the data file, too', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'a');
  await lamella.create(path, { format: 'qcow2', size: MIB, options: { data_file: 'a.data' } });
  for (const cache of ['none', 'writethrough', 'directsync', 'unsafe'] as const) {
    await using disk = await lamella.open(path, { writable: true, cache });
    await disk.write(new Uint8Array(5000).fill(cache.length), 100_001);
    t.equal((await readAt(disk, 105_000, 1))[0], cache.length);
  }
});

t.test('locks, as QEMU sees them', skipWithoutQemu, async (t) => {
  const directory = sandbox(t);
  const [path, data] = [join(directory, 'a'), join(directory, 'a.data')];
  await lamella.create(path, { format: 'qcow2', size: MIB, options: { data_file: data } });
  await using disk = await lamella.open(path, { writable: true });
  const reopened = await failure(() => lamella.open(path));
  t.equal(reopened.code, 'LOCKED');
  t.match(outcome('qemu-io', ['-f', 'qcow2', '-c', 'read 0 512', path]).stderr, /lock/);
  t.match(
    outcome('qemu-img', ['resize', '-f', 'raw', data, '2M']).stderr,
    /lock/,
    'the data file may not be resized by others',
  );
  await disk.write(new Uint8Array(4096).fill(4), 8192);
  await disk.close();
  qemuIo('qcow2', path, 'read -P 4 8192 4096');
});

t.test('locks, as we see those of QEMU', skipWithoutQemu, async (t) => {
  const directory = sandbox(t);
  const [path, data] = [join(directory, 'a'), join(directory, 'a.data')];
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', `data_file=${data}`, path, '1M');
  await using other = await lamella.open(data, { format: 'raw', writable: true });
  await using disk = await lamella.open(path, { writable: true });
  t.ok(disk.isWritable, 'a raw disk beside it shares everything, as in QEMU');
  const error = await failure(() => other.resize(2 * MIB));
  t.equal(error.code, 'LOCKED');
});
