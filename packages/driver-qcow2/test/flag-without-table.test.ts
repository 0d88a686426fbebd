import { viewOf } from '@lamella/core';
import t from 'tap';
import { content, newImage, openDisk } from './support/disks.js';

t.test(
  'an L1 entry with a COPIED flag and no table is no table: zeroing over a layer ends',
  async (t) => {
    const base = await newImage(1024 * 1024);
    const storage = await newImage(1024 * 1024, {}, { location: 'base.qcow2', format: 'qcow2' });
    const pointer = new Uint8Array(8);
    storage.read(pointer, 40);
    storage.write(Uint8Array.of(0x80), viewOf(pointer).getUint32(4));
    const disk = await openDisk([storage, base], { writable: true });
    await disk.writeZeroes(0, 65536);
    await disk.write(new Uint8Array(100).fill(7), 65536);
    await disk.close();
    const again = await openDisk([storage, base]);
    t.equal((await content(again))[65536], 7);
    await again.close();
  },
);
