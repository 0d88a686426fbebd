/**
 * Writes to an image without end, to be killed. Says on stdout what it is about to write, and `flushed`
 * once that is durable. Arguments: path, format, seed.
 */
import { writeSync } from 'node:fs';
import { CLOCK, Lamella } from 'lamella';
import { randoms } from '../support/files.js';

/** One write: `length` bytes of `value` at `offset`. */
export interface PlannedWrite {
  readonly offset: number;
  readonly length: number;
  readonly value: number;
}

const [, , path = '', format = '', seed = '0'] = process.argv;
const random = randoms(Number(seed));
const lamella = new Lamella();
if (Number(seed) % 2 === 1) {
  // Marks the image as clean every few milliseconds instead of after 5 seconds.
  lamella.container.register(CLOCK, {
    useValue: {
      now: () => 0,
      schedule(_milliseconds, action) {
        const timer = setTimeout(action, 3);
        return { cancel: () => clearTimeout(timer) };
      },
    },
  });
}
const disk = await lamella.open(path, { format, writable: true });
for (;;) {
  const batch: PlannedWrite[] = Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
    const length = 1 + Math.floor(random() ** 3 * 60_000);
    return {
      offset: Math.floor(random() * (disk.size - length)),
      length,
      value: 1 + Math.floor(random() * 255),
    };
  });
  writeSync(1, `${JSON.stringify(batch)}\n`);
  // Overlapping writes of one batch have no order: one after the other where that matters.
  for (const { offset, length, value } of batch.slice(0, 3)) {
    await disk.write(Buffer.alloc(length, value), offset);
  }
  await Promise.all(
    batch
      .slice(3)
      .map(({ offset, length, value }) => disk.write(Buffer.alloc(length, value), offset)),
  );
  if (random() < 0.1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await disk.flush();
  writeSync(1, 'flushed\n');
}
