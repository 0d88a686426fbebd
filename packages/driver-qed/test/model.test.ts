import { MemoryStorage } from '@lamella/core';
import { TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';
import { create, inspect, MIB, openDisk, pattern, randoms, readAll, sameBytes } from './helpers.js';

const SIZE = 5 * MIB + 512;

for (const [seed, options] of [
  [1, { cluster_size: 4096, table_size: 1 }],
  [2, { cluster_size: 4096, table_size: 2 }],
  [3, { cluster_size: 65536, table_size: 1 }],
  [4, { cluster_size: 65536, table_size: 4 }],
] as const) {
  t.test(
    `requests in parallel do what a plain array does: ${JSON.stringify(options)}`,
    async (t) => {
      const random = randoms(seed);
      const storage = new TracingStorage(new MemoryStorage(), {
        delay: () => Math.floor(random() * 3),
      });
      await create(storage, SIZE, options);
      const content = new Uint8Array(SIZE);
      let disk = await openDisk(storage);
      for (let round = 0; round < 40; round += 1) {
        const requests: Promise<void>[] = [];
        // Neighbouring ranges: many share a cluster, none share a byte.
        let position = Math.floor(random() * SIZE * 0.9);
        for (let i = 0; i < 10 && position < SIZE; i += 1) {
          const wanted = 1 + Math.floor(random() ** 3 * 150000);
          const length = Math.min(SIZE - position, wanted);
          const kind = random();
          if (kind < 0.7) {
            const bytes = pattern(round * 10 + i, length);
            content.set(bytes, position);
            requests.push(disk.write(bytes, position));
          } else if (kind < 0.95) {
            content.fill(0, position, position + length);
            requests.push(disk.writeZeroes(position, length, { unmap: kind < 0.8 }));
          } else {
            requests.push(disk.flush());
          }
          position += length;
        }
        await Promise.all(requests);
        if (round % 8 === 7) {
          t.ok(sameBytes(await readAll(disk), content), `content after round ${round}`);
          await disk.close();
          t.match(await inspect(storage), { problems: [], leaks: 0, needCheck: false });
          disk = await openDisk(storage);
          t.ok(sameBytes(await readAll(disk), content), `content reopened after round ${round}`);
        }
      }
      await disk.close();
    },
  );
}
