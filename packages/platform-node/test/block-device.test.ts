import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs';
import { FileStorageDriver } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { fails, HELPERS, pattern } from './helpers.js';

const SIZE = 8 * 1024 * 1024;

/** A loop device over a file; undefined where the machine allows none. */
function attach(file: string, sector: number): string | undefined {
  const { status, stdout } = spawnSync(
    'losetup',
    ['--find', '--show', '--sector-size', `${sector}`, file],
    { encoding: 'utf8' },
  );
  return status === 0 ? stdout.trim() : undefined;
}

for (const [name, native] of HELPERS) {
  for (const sector of [512, 4096]) {
    t.test(`${name}, sectors of ${sector} bytes`, async (t) => {
      const at = paths(t);
      closeSync(openSync(at('backing'), 'w'));
      truncateSync(at('backing'), SIZE);
      const device = attach(at('backing'), sector);
      const isDevice = device !== undefined;
      const path = device ?? at('backing');
      if (isDevice) {
        t.teardown(() => execFileSync('losetup', ['--detach', path]));
      } else {
        t.comment('NO LOOP DEVICE on this machine: the same paths on a file instead');
        t.pass('a loop device', { skip: 'losetup failed' });
      }
      const driver = new FileStorageDriver(native);
      for (const cache of ['writeback', 'none', 'directsync'] as const) {
        const storage = await driver.open(path, { writable: true, cache });
        await storage.lock({ uses: ['consistent-read', 'write'], shares: ['consistent-read'] });
        t.equal(storage.size, SIZE, `${cache}: size`);

        const model = new Uint8Array(SIZE);
        const put = async (offset: number, length: number, seed: number) => {
          model.set(pattern(length, seed), offset);
          await storage.write(pattern(length, seed), offset);
        };
        await storage.writeZeroes(0, SIZE);
        await Promise.all([
          put(0, 100, 1),
          put(100, 1000, 2),
          put(3000, 70_000, 3),
          put(512 * 1024, 1024 * 1024, 4),
          put(SIZE - 700, 700, 5),
        ]);
        await storage.writeZeroes(3500, 40_000, { unmap: true });
        model.fill(0, 3500, 43_500);
        await storage.writeZeroes(60_000, 5000, { unmap: false });
        model.fill(0, 60_000, 65_000);
        await storage.flush();
        const back = new Uint8Array(SIZE);
        await storage.read(back, 0);
        t.equal(Buffer.compare(back, model), 0, `${cache}: what was written is read`);
        const tail = new Uint8Array(1000).fill(1);
        await storage.read(tail, SIZE - 100);
        t.ok(
          tail.subarray(100).every((byte) => byte === 0),
          'zeroes past the end',
        );

        const before = statSync(at('backing')).blocks;
        await storage.discard(512 * 1024, 1024 * 1024);
        await storage.read(back, 0);
        const gone = back.subarray(512 * 1024, 1536 * 1024);
        const old = model.slice(512 * 1024, 1536 * 1024);
        const zero = gone.every((byte) => byte === 0);
        t.ok(zero || Buffer.compare(gone, old) === 0, 'discarded: zero or as before');
        if (native.fallocate !== undefined) {
          t.ok(zero, 'discarded: the space is given back');
          t.ok(statSync(at('backing')).blocks <= before - 2000, 'down to the file below');
        }
        model.set(gone, 512 * 1024);
        t.equal(Buffer.compare(back, model), 0, 'and nothing beside it');
        if (isDevice) {
          await fails(t, 'NO_SPACE', () => storage.write(pattern(10), SIZE - 5));
          await fails(t, 'NO_SPACE', () => storage.writeZeroes(SIZE, 1));
          await fails(t, 'UNSUPPORTED', () => storage.truncate(SIZE - 512));
        }
        await storage.flush();
        await storage.close();
        t.equal(Buffer.compare(readFileSync(path), model), 0, `${cache}: others read it, too`);
      }
    });
  }
}

t.test('direct I/O keeps to the sectors of the device', async (t) => {
  const at = paths(t);
  closeSync(openSync(at('backing'), 'w'));
  truncateSync(at('backing'), SIZE);
  const device = attach(at('backing'), 4096);
  if (device === undefined) {
    t.pass('a loop device with large sectors', { skip: 'losetup failed' });
    return;
  }
  t.teardown(() => execFileSync('losetup', ['--detach', device]));
  // The device itself refuses half a sector; so whoever writes 512 bytes must have read the rest.
  const constants = (await import('node:fs')).constants;
  const fd = openSync(device, constants.O_RDWR | constants.O_DIRECT);
  t.throws(() => writeSync(fd, Buffer.alloc(512), 0, 512, 512), { code: 'EINVAL' });
  closeSync(fd);
  const storage = await new FileStorageDriver().open(device, { writable: true, cache: 'none' });
  await storage.write(pattern(512), 512);
  await storage.close();
  t.equal(Buffer.compare(readFileSync(device).subarray(512, 1024), pattern(512)), 0);
});
