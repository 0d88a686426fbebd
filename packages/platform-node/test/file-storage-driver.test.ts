import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FileStorageDriver } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { fails, pattern } from './helpers.js';

const driver = new FileStorageDriver();
const DIST = new URL('../../dist/index.js', import.meta.url).href;
const posix = process.platform !== 'win32';

t.test('what is no file is refused, and nothing hangs', { timeout: 10_000 }, async (t) => {
  const at = paths(t);
  mkdirSync(at('directory'));
  const names = [at('directory')];
  if (posix) {
    execFileSync('mkfifo', [at('fifo')]);
    const server = createServer().listen(at('socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    t.teardown(() => server.close());
    names.push(at('fifo'), at('socket'), '/dev/null', '/dev/zero', '/dev/full');
  }
  for (const name of names) {
    for (const writable of [true, false]) {
      await fails(t, 'NOT_A_FILE', () => driver.open(name, { writable }));
    }
    for (const overwrite of [true, false]) {
      await fails(t, 'NOT_A_FILE', () => driver.create(name, { overwrite }));
    }
    await fails(t, 'NOT_A_FILE', () => driver.remove(name));
    t.ok(lstatSync(name), 'still there');
  }
});

t.test('bad names have the fitting error', async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), 'x');
  if (posix) {
    symlinkSync('loop', at('loop'));
  }
  for (const [location, code] of [
    [at('missing'), 'NOT_FOUND'],
    [at('missing/below'), 'NOT_FOUND'],
    [at('file/below'), 'NOT_FOUND'],
    [posix ? at('loop') : at('missing'), 'NOT_FOUND'],
    [`${at('file')}\0.qcow2`, 'INVALID_ARGUMENT'],
    ['', 'INVALID_ARGUMENT'],
    ['file:', 'INVALID_ARGUMENT'],
    ['file://host/file', 'INVALID_ARGUMENT'],
    ['file:///a%zz', 'INVALID_ARGUMENT'],
    ['file:///a%00b', 'INVALID_ARGUMENT'],
    [at('n'.repeat(5000)), posix ? 'INVALID_ARGUMENT' : 'NOT_FOUND'],
  ] as const) {
    await fails(t, code, () => driver.open(location, { writable: false }));
    await fails(t, code, () => driver.realLocation(location));
  }
  await t.rejects(driver.open(at('missing'), { writable: false }), {
    location: at('missing'),
    cause: { code: 'ENOENT' },
  });
});

t.test('a location is a path or a file: name', async (t) => {
  const at = paths(t);
  const path = at('odd % name#1?.img');
  writeFileSync(path, pattern(10));
  for (const location of [path, `file:${path}`, pathToFileURL(path).href]) {
    const storage = await driver.open(location, { writable: false });
    t.equal(storage.size, 10, location);
    t.equal(storage.location, location);
    await storage.close();
  }
});

t.test('create makes a file, and overwrites only when told', async (t) => {
  const at = paths(t);
  const first = await driver.create(at('new'), { overwrite: false });
  t.equal(first.size, 0);
  t.equal(first.writable, true);
  await first.write(pattern(100), 0);
  await first.close();
  await fails(t, 'ALREADY_EXISTS', () => driver.create(at('new'), { overwrite: false }));
  t.equal(readFileSync(at('new')).length, 100, 'untouched');
  const second = await driver.create(at('new'), { overwrite: true });
  t.equal(second.size, 0);
  await second.close();
  t.equal(readFileSync(at('new')).length, 0);
  await fails(t, 'NOT_FOUND', () => driver.create(at('no/such/place'), { overwrite: false }));
});

t.test('remove takes the file away; missing is no error', async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), 'x');
  await driver.remove(at('file'));
  await driver.remove(at('file'));
  t.throws(() => lstatSync(at('file')), { code: 'ENOENT' });
});

t.test('one file has one identity, whatever its name', async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), 'x');
  writeFileSync(at('other'), 'x');
  linkSync(at('file'), at('hard'));
  symlinkSync('file', at('soft'));
  const identities: string[] = [];
  for (const name of ['file', 'hard', 'soft', 'other']) {
    const storage = await driver.open(at(name), { writable: false });
    identities.push(storage.identity);
    await storage.close();
  }
  t.equal(new Set(identities.slice(0, 3)).size, 1);
  t.not(identities[0], identities[3]);
  t.equal(await driver.realLocation(at('soft')), await driver.realLocation(at('file')));
});

t.test('references are relative to the image that names them', { skip: !posix }, async (t) => {
  for (const [reference, base, expected] of [
    ['base.img', '/images/top.qcow2', '/images/base.img'],
    ['base.img', 'file:/images/top.qcow2', '/images/base.img'],
    ['base.img', 'file:///my%20images/top.qcow2', '/my images/base.img'],
    ['sub/base.img', 'images/top.qcow2', 'images/sub/base.img'],
    ['base.img', 'top.qcow2', 'base.img'],
    ['/abs/base.img', '/images/top.qcow2', '/abs/base.img'],
    ['../base.img', '/a/link/top.qcow2', '/a/link/../base.img'],
    ['nbd:x', 'top.qcow2', './nbd:x'],
  ] as const) {
    t.equal(driver.resolve(reference, base), expected);
  }
  t.throws(() => driver.resolve('a\0b', '/x/y'), { code: 'INVALID_ARGUMENT' });
});

t.test('missing permissions are named', { skip: !posix }, async (t) => {
  // Not below the private directory of this test: the other user has to get there.
  const directory = mkdtempSync(join(tmpdir(), 'lamella-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const secret = join(directory, 'secret');
  const readable = join(directory, 'readable');
  writeFileSync(secret, 'x', { mode: 0o600 });
  chmodSync(secret, process.getuid?.() === 0 ? 0o600 : 0o000);
  writeFileSync(readable, 'x');
  chmodSync(readable, 0o444);
  const program = `
    const { FileStorageDriver } = await import(${JSON.stringify(DIST)});
    if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
    const driver = new FileStorageDriver();
    const codeOf = (action) => action().then(() => 'none', (error) => error.code);
    const secret = ${JSON.stringify(secret)}, readable = ${JSON.stringify(readable)};
    console.log(JSON.stringify([
      await codeOf(() => driver.open(secret, { writable: false })),
      await codeOf(() => driver.open(readable, { writable: true })),
      await codeOf(() => driver.open(readable, { writable: false })),
      process.getuid() === 65534
        ? await codeOf(() => driver.create(readable + '-new', { overwrite: false }))
        : 'PERMISSION_DENIED',
    ]));`;
  t.strictSame(run(program), [
    'PERMISSION_DENIED',
    'PERMISSION_DENIED',
    'none',
    'PERMISSION_DENIED',
  ]);
});

t.test('a file that may not grow says so, and size stays true', { skip: !posix }, async (t) => {
  const at = paths(t);
  const program = `
    process.on('SIGXFSZ', () => {});
    const { FileStorageDriver } = await import(${JSON.stringify(DIST)});
    const storage = await new FileStorageDriver().create(${JSON.stringify(at('limited'))}, { overwrite: false });
    const codeOf = (action) => action().then(() => 'none', (error) => error.code);
    const codes = [
      await codeOf(async () => storage.write(new Uint8Array(40000).fill(1), 0)),
      await codeOf(async () => storage.write(new Uint8Array(100000), 10000)),
      await codeOf(async () => storage.writeZeroes(0, 100000)),
      await codeOf(async () => storage.truncate(100000)),
    ];
    const { statSync } = await import('node:fs');
    console.log(JSON.stringify([...codes, statSync(${JSON.stringify(at('limited'))}).size === storage.size]));`;
  // 512-byte or 1024-byte blocks, as the shell has it: between 64 and 128 KiB either way.
  t.strictSame(run(program, 'ulimit -f 96; '), ['none', 'NO_SPACE', 'NO_SPACE', 'NO_SPACE', true]);
});

t.test('block devices', { skip: !loopDevicesWork() }, async (t) => {
  const at = paths(t);
  const size = 4 * 1024 * 1024;
  writeFileSync(at('disk'), pattern(size));
  const device = execFileSync('losetup', ['--find', '--show', at('disk')], {
    encoding: 'utf8',
  }).trim();
  t.teardown(() => execFileSync('losetup', ['--detach', device]));
  for (const native of [undefined, {}]) {
    const storage = await new FileStorageDriver(native).open(device, { writable: true });
    t.equal(storage.size, size);
    t.match(storage.identity, /^device:/);
    const expected = Buffer.from(pattern(size));
    await storage.write(pattern(5000, 3), 1000);
    expected.set(pattern(5000, 3), 1000);
    await storage.writeZeroes(8192, 65536);
    expected.fill(0, 8192, 8192 + 65536);
    await storage.writeZeroes(100_001, 333);
    expected.fill(0, 100_001, 100_334);
    await storage.writeZeroes(1024 * 1024, 65536, { unmap: false });
    expected.fill(0, 1024 * 1024, 1024 * 1024 + 65536);
    await storage.discard(2 * 1024 * 1024 + 1, 10_000);
    const now = new Uint8Array(size + 100).fill(7);
    await storage.read(now, 0);
    t.equal(
      Buffer.compare(now.subarray(0, 2 * 1024 * 1024), expected.subarray(0, 2 * 1024 * 1024)),
      0,
    );
    t.ok(now.subarray(size).every((byte) => byte === 0));
    await fails(t, 'NO_SPACE', () => storage.write(new Uint8Array(8192), size - 4096));
    await fails(t, 'NO_SPACE', () => storage.writeZeroes(size - 4096, 8192));
    await fails(t, 'NO_SPACE', () => storage.truncate(size + 1));
    await fails(t, 'UNSUPPORTED', () => storage.truncate(size - 1));
    await storage.truncate(size);
    t.equal(storage.size, size);
    t.ok(storage.map(0, size).length > 0);
    await storage.flush();
    await storage.close();
    const again = await new FileStorageDriver(native).open(device, { writable: true });
    await again.write(pattern(size), 0);
    await again.close();
  }
  await fails(t, 'NOT_A_FILE', () => driver.create(device, { overwrite: true }));
});

function loopDevicesWork(): boolean {
  return (
    process.platform === 'linux' &&
    process.getuid?.() === 0 &&
    spawnSync('losetup', ['--find']).status === 0
  );
}

function run(program: string, before = ''): unknown {
  const child = spawnSync(
    '/bin/sh',
    ['-c', `${before}exec "$0" --input-type=module --eval "$1"`, process.execPath, program],
    { encoding: 'utf8', timeout: 20_000, env: { ...process.env, NODE_OPTIONS: '' } },
  );
  if (child.status !== 0) {
    throw new Error(`child failed: ${child.stderr}`);
  }
  const result: unknown = JSON.parse(child.stdout);
  return result;
}
