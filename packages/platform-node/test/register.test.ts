import { COMPRESSION_CODEC, STORAGE_DRIVER } from '@lamella/core';
import {
  FileStorageDriver,
  NATIVE_CALLS,
  registerNodePlatform,
  widenThreadPool,
} from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { container } from 'tsyringe';
import { pattern } from './helpers.js';

t.test('a container has files, deflate and zstd', async (t) => {
  const own = container.createChildContainer();
  registerNodePlatform(own);
  t.strictSame(
    own.resolveAll(STORAGE_DRIVER).map((driver) => driver.scheme),
    ['file'],
  );
  t.strictSame(
    own.resolveAll(COMPRESSION_CODEC).map((codec) => codec.name),
    ['deflate', 'zstd'],
  );
});

t.test('the native helper can be swapped', async (t) => {
  const at = paths(t);
  let calls = 0;
  const own = container.createChildContainer();
  registerNodePlatform(own);
  own.register(NATIVE_CALLS, {
    useValue: {
      readNow: (_fd: number, buffer: Uint8Array) => {
        calls += 1;
        buffer.fill(3);
        return buffer.length;
      },
    },
  });
  const driver = own.resolve(FileStorageDriver);
  const storage = await driver.create(at('file'), { overwrite: false });
  await storage.write(pattern(10), 0);
  const buffer = new Uint8Array(10);
  await storage.read(buffer, 0);
  await storage.close();
  t.equal(calls, 1);
  t.ok(buffer.every((byte) => byte === 3));
});

t.test('a driver works in a container that has no native helper', async (t) => {
  t.ok(container.createChildContainer().resolve(FileStorageDriver) instanceof FileStorageDriver);
});

t.test('the thread pool is widened unless the user chose', async (t) => {
  const before = process.env.UV_THREADPOOL_SIZE;
  delete process.env.UV_THREADPOOL_SIZE;
  widenThreadPool();
  t.equal(process.env.UV_THREADPOOL_SIZE, '32');
  widenThreadPool(8);
  t.equal(process.env.UV_THREADPOOL_SIZE, '32');
  delete process.env.UV_THREADPOOL_SIZE;
  if (before !== undefined) {
    process.env.UV_THREADPOOL_SIZE = before;
  }
});
