import { join } from 'node:path';
import { MemoryStorage, type Reference, type Storage } from '@lamella/core';
import t from 'tap';
import { filled, newImage } from './support/disks.js';
import {
  directory,
  loadFile,
  qemuCheck,
  qemuImg,
  qemuIo,
  qemuTest,
  saveFile,
} from './support/qemu.js';
import { verify } from './support/verify.js';
import { openWhole, wholeDriver } from './support/whole.js';

async function setBacking(storage: Storage, backing: Reference | undefined): Promise<void> {
  const image = await wholeDriver.open(storage, { writable: true });
  try {
    await image.setBacking?.(backing);
  } finally {
    await image.close();
  }
}

function bytesOf(storage: MemoryStorage): Buffer {
  const bytes = Buffer.alloc(storage.size);
  storage.read(bytes, 0);
  return bytes;
}

function namesOf(path: string): { file: unknown; format: unknown } {
  const info = JSON.parse(qemuImg('info', '-U', '--output=json', path));
  return { file: info['backing-filename'], format: info['backing-filename-format'] };
}

t.test('names as qemu-img rebase -u writes them', qemuTest, async (t) => {
  const dir = directory(t);
  const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
  for (const compat of ['1.1', '0.10']) {
    for (const [file, format] of [
      ['base.raw', 'raw'],
      ['a directory/ümlaut.qcow2', 'qcow2'],
      ['x'.repeat(1000), 'raw'],
      ['y'.repeat(1023), 'qcow2'],
    ] as const) {
      qemuImg('create', '-q', '-f', 'qcow2', '-o', `compat=${compat}`, theirs, '1M');
      qemuIo(theirs, 'write -P 5 0 100k');
      const storage = loadFile(theirs);
      qemuImg('rebase', '-u', '-b', file, '-F', format, theirs);
      await setBacking(storage, { location: file, format });
      await saveFile(storage, ours);
      t.same(namesOf(ours), { file, format });
      t.same(namesOf(ours), namesOf(theirs));
      t.same(await verify(storage), { corruptions: [], leaks: 0 });
      await setBacking(storage, undefined);
      await saveFile(storage, ours);
      t.same(namesOf(ours), { file: undefined, format: undefined });
      const disk = await openWhole([storage]);
      const seen = new Uint8Array(100 * 1024);
      await disk.read(seen, 0);
      t.ok(Buffer.compare(seen, filled(seen.length, 5)) === 0, 'the data are where they were');
    }
  }
});

t.test('a name that does not fit changes nothing', async (t) => {
  for (const compat of ['1.1', '0.10']) {
    const storage = await newImage(65536, { cluster_size: 512, compat });
    const room = compat === '0.10' ? 512 - 72 - 8 - 16 : 512 - 112 - 8 - 16;
    const longest = { location: 'n'.repeat(room), format: 'raw' };
    await setBacking(storage, longest);
    const image = await wholeDriver.open(storage, { writable: false });
    t.same(image.references.backing, longest, 'the longest that fits');
    const before = bytesOf(storage);
    for (const length of [room + 1, 1023]) {
      await t.rejects(setBacking(storage, { location: 'n'.repeat(length), format: 'raw' }), {
        code: 'LIMIT_EXCEEDED',
      });
    }
    await t.rejects(setBacking(storage, { location: 'n'.repeat(1024) }), {
      code: 'LIMIT_EXCEEDED',
    });
    await t.rejects(setBacking(storage, { location: '' }), { code: 'LIMIT_EXCEEDED' });
    t.ok(before.equals(bytesOf(storage)), 'unchanged');
  }
});

t.test('unknown extensions stay', qemuTest, async (t) => {
  const path = join(directory(t), 'a.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
  const storage = loadFile(path);
  const header = new Uint8Array(8);
  storage.read(header, 100);
  const start = new DataView(header.buffer).getUint32(0);
  const names = new Uint8Array(1024);
  storage.read(names, start);
  // An extension nobody knows in front of the others.
  const unknown = new Uint8Array(24);
  new DataView(unknown.buffer).setUint32(0, 0x4c41_4d45);
  new DataView(unknown.buffer).setUint32(4, 13);
  unknown.set(new TextEncoder().encode('thirteen byte'), 8);
  storage.write(unknown, start);
  storage.write(names, start + unknown.length);
  for (const backing of [
    { location: 'b', format: 'raw' },
    { location: 'longer name' },
    undefined,
  ]) {
    await setBacking(storage, backing);
    t.ok(bytesOf(storage).subarray(0, 1024).includes(Buffer.from(unknown)), 'byte for byte');
    t.same(await verify(storage), { corruptions: [], leaks: 0 });
    await saveFile(storage, path);
    qemuImg('info', '-U', path);
  }
});

t.test('data behind the end of the file are written as QEMU writes them', qemuTest, async (t) => {
  const dir = directory(t);
  const [ours, theirs] = [join(dir, 'ours.qcow2'), join(dir, 'theirs.qcow2')];
  for (const options of ['cluster_size=64k', 'extended_l2=on']) {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, theirs, '1M');
    qemuIo(theirs, 'write -P 5 0 256k');
    const cut = MemoryStorage.from(bytesOf(loadFile(theirs)).subarray(0, 327680));
    await saveFile(cut, theirs);
    qemuIo(theirs, 'write -P 6 64k 64k', 'write -P 6 128k 4k', 'write -P 7 192k 64k');
    const disk = await openWhole([cut], { writable: true });
    await disk.write(filled(65536, 6), 65536);
    await disk.write(filled(4096, 6), 131072);
    await disk.write(filled(65536, 7), 196608);
    await disk.close();
    await saveFile(cut, ours);
    t.equal(qemuCheck(ours).code, qemuCheck(theirs).code);
    t.notMatch(qemuImg('info', ours), /corrupt: true/, 'not marked as corrupt');
    qemuImg('compare', ours, theirs);
    const again = await openWhole([cut], { writable: true });
    await again.write(filled(10, 1), 0);
    await again.close();
  }
});
