import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { MAX_ZEROES } from '@lamella/core';
import { FileStorageDriver } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { fails, HELPERS, pattern } from './helpers.js';

const MIB = 1024 * 1024;

for (const [name, native] of HELPERS) {
  t.test(name, async (t) => {
    const at = paths(t);
    const driver = new FileStorageDriver(native);
    const open = (path: string, writable = true) => driver.open(path, { writable });

    t.test('reads what is in the file', async (t) => {
      const content = pattern(3 * MIB + 17);
      writeFileSync(at('content'), content);
      const storage = await open(at('content'), false);
      t.equal(storage.size, content.length);
      for (const [offset, length] of [
        [0, 1],
        [5, 63],
        [5, 64],
        [7, 65],
        [100, 256],
        [100, 257],
        [4095, 4098],
        [1, 3 * MIB],
        [content.length - 3, 3],
      ] as const) {
        const buffer = new Uint8Array(length);
        await storage.read(buffer, offset);
        const wanted = content.subarray(offset, offset + length);
        t.equal(Buffer.compare(buffer, wanted), 0, `${length} at ${offset}`);
      }
      await storage.close();
    });

    t.test('small reads land in the buffer, wherever V8 keeps it', async (t) => {
      writeFileSync(at('small'), new Uint8Array(4096).fill(0xa5));
      const storage = await open(at('small'), false);
      let wrong = 0;
      const litter: unknown[] = [];
      for (let i = 0; i < 100_000; i += 1) {
        const buffer = new Uint8Array(8);
        const reading = storage.read(buffer, (i * 8) % 4096);
        if (reading !== undefined) {
          await reading;
        }
        wrong += buffer[0] === 0xa5 && buffer[7] === 0xa5 ? 0 : 1;
        litter[i % 1000] = buffer;
        if (reading !== undefined && i > 500) {
          break;
        }
      }
      t.equal(wrong, 0);
      await storage.close();
    });

    t.test('views into larger and shared memory are filled in place', async (t) => {
      const content = pattern(1000);
      writeFileSync(at('views'), content);
      const storage = await open(at('views'), false);
      for (const memory of [new ArrayBuffer(2000), new SharedArrayBuffer(2000)]) {
        const whole = new Uint8Array(memory);
        await storage.read(whole.subarray(500, 1500), 0);
        t.equal(Buffer.compare(whole.subarray(500, 1500), content), 0);
        t.ok(whole.subarray(0, 500).every((byte) => byte === 0));
        t.ok(whole.subarray(1500).every((byte) => byte === 0));
      }
      await storage.close();
    });

    t.test('bytes past the end read as zeroes', async (t) => {
      writeFileSync(at('short'), pattern(1000));
      const storage = await open(at('short'), false);
      const buffer = new Uint8Array(600).fill(9);
      await storage.read(buffer, 900);
      t.strictSame(buffer.slice(0, 100), pattern(1000).slice(900));
      t.strictSame(buffer.slice(100), new Uint8Array(500));
      buffer.fill(9);
      await storage.read(buffer, 5000);
      t.strictSame(buffer, new Uint8Array(600));
      const large = new Uint8Array(2 * MIB).fill(9);
      await storage.read(large, 500);
      t.strictSame(large.slice(0, 500), pattern(1000).slice(500));
      t.ok(large.subarray(500).every((byte) => byte === 0));
      await storage.read(new Uint8Array(0), 0);
      await storage.close();
    });

    t.test('writes are in the file, and grow it', async (t) => {
      const storage = await driver.create(at('written'), { overwrite: false });
      await storage.write(pattern(5000), 3000);
      t.equal(storage.size, 8000);
      await storage.write(pattern(10, 2), 0);
      await storage.write(new Uint8Array(0), 9000);
      t.equal(storage.size, 8000);
      const expected = new Uint8Array(8000);
      expected.set(pattern(5000), 3000);
      expected.set(pattern(10, 2), 0);
      t.equal(Buffer.compare(readFileSync(at('written')), expected), 0);
      await storage.flush();
      await storage.close();
    });

    t.test('more than 1024 pieces, of all lengths, are written in order', async (t) => {
      const storage = await driver.create(at('pieces'), { overwrite: false });
      const pieces = Array.from({ length: 3000 }, (_, i) => pattern(i % 50, i));
      await storage.writev(pieces, 123);
      const expected = Buffer.concat([new Uint8Array(123), ...pieces]);
      t.equal(Buffer.compare(readFileSync(at('pieces')), expected), 0);
      t.equal(storage.size, expected.length);
      await storage.writev([], 9_000_000);
      await storage.writev([new Uint8Array(0)], 9_000_000);
      t.equal(storage.size, expected.length);
      await storage.close();
    });

    for (const unmap of [true, false]) {
      t.test(`zeroes, unmap ${unmap}`, async (t) => {
        const old = pattern(3 * MIB);
        for (const [index, [offset, length]] of (
          [
            [0, 4096],
            [100, 300],
            [4000, 2 * MAX_ZEROES],
            [3 * MIB - 10, 20],
            [3 * MIB, 70_000],
            [5 * MIB, 1],
          ] as const
        ).entries()) {
          const path = at(`zeroes-${unmap}-${index}`);
          writeFileSync(path, old);
          const storage = await open(path);
          await storage.writeZeroes(offset, length, { unmap });
          const size = Math.max(3 * MIB, offset + length);
          const expected = new Uint8Array(size);
          expected.set(old);
          expected.fill(0, offset, offset + length);
          t.equal(storage.size, size);
          t.equal(Buffer.compare(readFileSync(path), expected), 0, `${length} at ${offset}`);
          await storage.writeZeroes(0, 0);
          await storage.close();
        }
      });
    }

    t.test('growing by zeroes takes next to no space', async (t) => {
      const storage = await driver.create(at('grown'), { overwrite: false });
      await storage.writeZeroes(0, 64 * MIB);
      t.equal(statSync(at('grown')).size, 64 * MIB);
      t.ok(statSync(at('grown')).blocks * 512 < MIB);
      await storage.close();
    });

    t.test('discard leaves zeroes or the old bytes, and the length', async (t) => {
      writeFileSync(at('discard'), pattern(MIB));
      const storage = await open(at('discard'));
      await storage.discard(4096, 65536);
      await storage.discard(MIB - 100, 5000);
      await storage.discard(2 * MIB, 5000);
      t.equal(storage.size, MIB);
      const now = readFileSync(at('discard'));
      t.equal(now.length, MIB);
      const old = pattern(MIB);
      t.ok(now.every((byte, i) => byte === old[i] || (byte === 0 && i >= 4096)));
      t.equal(Buffer.compare(now.subarray(0, 4096), old.subarray(0, 4096)), 0);
      await storage.close();
    });

    t.test('truncate cuts, and grows by zeroes', async (t) => {
      writeFileSync(at('truncate'), pattern(10_000));
      const storage = await open(at('truncate'));
      await storage.truncate(5000);
      t.equal(storage.size, 5000);
      await storage.truncate(9000);
      t.equal(storage.size, 9000);
      const expected = new Uint8Array(9000);
      expected.set(pattern(10_000).subarray(0, 5000));
      t.equal(Buffer.compare(readFileSync(at('truncate')), expected), 0);
      await storage.close();
    });

    t.test('map covers every byte and never calls data a hole', async (t) => {
      const fd = openSync(at('sparse'), 'w');
      ftruncateSync(fd, 8 * MIB);
      writeSync(fd, pattern(MIB), 0, MIB, 2 * MIB);
      writeSync(fd, pattern(100), 0, 100, 6 * MIB + 5);
      closeSync(fd);
      const storage = await open(at('sparse'), false);
      const content = readFileSync(at('sparse'));
      let holes = 0;
      for (let offset = 0; offset < 10 * MIB; ) {
        const asked = Math.min(3_000_001, 10 * MIB - offset);
        const extent = storage.map(offset, asked);
        t.ok(extent.length >= 1 && extent.length <= asked, `length ${extent.length}`);
        if (extent.kind === 'hole') {
          holes += extent.length;
          t.ok(content.subarray(offset, offset + extent.length).every((byte) => byte === 0));
        }
        offset += extent.length;
      }
      t.ok(holes >= (native.seek === undefined ? 2 * MIB : 8 * MIB), `holes ${holes}`);
      t.strictSame(storage.map(20 * MIB, 7), { kind: 'hole', length: 7 });
      await fails(t, 'INVALID_ARGUMENT', () => storage.map(0, 0));
      await storage.close();
    });

    t.test('after close everything says so, and close waits for what runs', async (t) => {
      const storage = await driver.create(at('closed'), { overwrite: false });
      const bytes = pattern(4 * MIB);
      const writing = [
        storage.write(bytes, 0),
        storage.truncate(5 * MIB),
        storage.write(pattern(10), 6 * MIB),
      ];
      const closing = storage.close();
      await Promise.all(writing);
      await closing;
      await storage.close();
      t.equal(statSync(at('closed')).size, 6 * MIB + 10);
      const buffer = new Uint8Array(16);
      for (const use of [
        () => storage.read(buffer, 0),
        () => storage.write(buffer, 0),
        () => storage.writev([buffer], 0),
        () => storage.writeZeroes(0, 1),
        () => storage.discard(0, 1),
        () => storage.truncate(0),
        () => storage.map(0, 1),
        () => storage.flush(),
      ]) {
        await fails(t, 'CLOSED', use);
      }
    });

    t.test('a read-only storage refuses every change', async (t) => {
      writeFileSync(at('read-only'), pattern(100));
      const storage = await open(at('read-only'), false);
      t.equal(storage.writable, false);
      for (const change of [
        () => storage.write(new Uint8Array(1), 0),
        () => storage.writev([new Uint8Array(1)], 0),
        () => storage.writeZeroes(0, 1),
        () => storage.discard(0, 1),
        () => storage.truncate(0),
      ]) {
        await fails(t, 'READ_ONLY', change);
      }
      await storage.flush();
      await storage.close();
      t.strictSame(new Uint8Array(readFileSync(at('read-only'))), pattern(100));
    });

    t.test('nonsense ranges are refused', async (t) => {
      const storage = await driver.create(at('ranges'), { overwrite: false });
      const buffer = new Uint8Array(16);
      for (const offset of [-1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER, Infinity]) {
        await fails(t, 'INVALID_ARGUMENT', () => storage.read(buffer, offset));
        await fails(t, 'INVALID_ARGUMENT', () => storage.write(buffer, offset));
        await fails(t, 'INVALID_ARGUMENT', () => storage.writeZeroes(offset, 16));
      }
      await fails(t, 'INVALID_ARGUMENT', () => storage.truncate(-1));
      t.equal(storage.size, 0);
      await storage.close();
    });

    t.test('a failed flush is reported, and remembered', async (t) => {
      if (process.platform !== 'linux') {
        t.pass('needs /proc');
        return;
      }
      const storage = await driver.create(at('flush'), { overwrite: false });
      await storage.write(pattern(10), 0);
      await storage.flush();
      const fd = descriptorOf(at('flush'));
      closeSync(fd);
      await fails(t, 'IO_ERROR', () => storage.flush());
      t.equal(openSync(at('flush'), 'r+'), fd, 'the number is in use again, for the same file');
      await fails(t, 'IO_ERROR', () => storage.flush());
      await Promise.all([
        fails(t, 'IO_ERROR', () => storage.flush()),
        fails(t, 'IO_ERROR', () => storage.flush()),
      ]);
      await storage.close();
    });
  });
}

function descriptorOf(path: string): number {
  for (const entry of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${entry}`) === path) {
        return Number(entry);
      }
    } catch {
      // The descriptor of the listing itself is gone by now.
    }
  }
  throw new Error(`no descriptor for ${path}`);
}
