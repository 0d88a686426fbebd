import t from 'tap';
import { toyDisk } from './support/toy-disk.js';
import { ToyImage } from './support/toy-image.js';

const CLUSTER = 1024;

t.test('a disk streams into another', async (t) => {
  const source = toyDisk(new ToyImage(5 * CLUSTER + 100, CLUSTER));
  const target = toyDisk(new ToyImage(6 * CLUSTER, CLUSTER));
  const content = Uint8Array.from({ length: source.size }, (_, i) => i % 251);
  await source.write(content, 0);
  await source.readable({ chunkSize: 700, offset: 10 }).pipeTo(target.writable({ offset: 20 }));
  const copied = new Uint8Array(source.size - 10);
  await target.read(copied, 20);
  t.same(Buffer.compare(copied, content.subarray(10)), 0);
});

t.test('failures and aborts end a stream', async (t) => {
  const disk = toyDisk(new ToyImage(4 * CLUSTER, CLUSTER));
  const past = disk.readable({ offset: 3 * CLUSTER, length: 2 * CLUSTER, chunkSize: CLUSTER });
  await t.rejects(
    (async () => {
      for await (const chunk of past) {
        t.equal(chunk.length, CLUSTER);
      }
    })(),
    { code: 'OUT_OF_RANGE' },
  );
  const controller = new AbortController();
  controller.abort();
  const aborted = disk.readable({ signal: controller.signal });
  await t.rejects(aborted.getReader().read(), { code: 'ABORTED' });
  const empty = disk.readable({ length: 0 }).getReader();
  t.equal((await empty.read()).done, true);
});
