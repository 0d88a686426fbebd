/**
 * Writes at random until it is killed: `node crash-writer.js IMAGE FORMAT SEED CACHE`. Every slot of the
 * disk holds a counter. Standard output, a file, hears of every write before it begins, and after each flush
 * of what was finished when the flush began.
 */
import { writeSync } from 'node:fs';
import { CACHE_MODES, type CacheMode, Lamella } from 'lamella';
import { SLOT, stamp } from './crash-slots.js';

const [image = '', format = '', seed = '1', mode = 'writeback'] = process.argv.slice(2);
const cache: CacheMode = CACHE_MODES.find((name) => name === mode) ?? 'writeback';
const disk = await new Lamella().open(image, { format, writable: true, cache });
const slots = Math.floor(disk.size / SLOT);

let state = Number(seed);
const next = (limit: number): number => {
  state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
  return Math.floor((state / 2 ** 31) * limit);
};

/** Latest finished write of each slot that no flush has covered yet. */
let finished = new Map<number, number>();
let counter = 0;

async function write(): Promise<void> {
  for (;;) {
    const slot = next(slots);
    counter += 1;
    const mine = counter;
    if (busy.has(slot)) {
      // Two writes to one slot at once have no order.
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    busy.add(slot);
    writeSync(1, `b ${slot} ${mine}\n`);
    await disk.write(stamp(slot, mine), slot * SLOT);
    finished.set(slot, mine);
    busy.delete(slot);
  }
}

async function flush(): Promise<void> {
  for (;;) {
    const covered = finished;
    finished = new Map();
    await disk.flush();
    for (const [slot, value] of covered) {
      writeSync(1, `f ${slot} ${value}\n`);
    }
    await new Promise((resolve) => setTimeout(resolve, next(8)));
  }
}

const busy = new Set<number>();
await Promise.all([write(), write(), write(), write(), flush()]);
