import { join } from 'node:path';
import t from 'tap';
import { content, openDisk } from './support/disks.js';
import { directory, loadFile, qemuContent, qemuImg, qemuIo, qemuTest } from './support/qemu.js';

interface Case {
  readonly name: string;
  readonly options: string;
  readonly size: number;
  readonly commands: readonly string[];
}

const K = 1024;
const M = K * K;

const CASES: Case[] = [
  ...['512', '4k', '64k', '2M'].flatMap((cluster) =>
    ['0.10', '1.1'].map((compat) => ({
      name: `clusters of ${cluster}, ${compat}`,
      options: `cluster_size=${cluster},compat=${compat}`,
      size: cluster === '2M' ? 64 * M : 3 * M + 512,
      commands: [
        'write -P 1 0 1',
        'write -P 2 100k 300k',
        'write -P 3 1M 512',
        ...(compat === '1.1' ? ['write -z 128k 64k', 'write -z 2M 512k'] : []),
        'discard 256k 64k',
        'write -P 4 3145728 512',
      ],
    })),
  ),
  ...['16k', '64k', '2M'].map((cluster) => ({
    name: `extended L2, clusters of ${cluster}`,
    options: `cluster_size=${cluster},extended_l2=on`,
    size: 70 * M,
    commands: [
      'write -P 1 0 2k',
      'write -P 2 5k 3k',
      'write -P 3 30k 200k',
      'write -z 64k 8k',
      'write -P 4 1M 3M',
      'write -z 2M 128k',
      'discard 3M 256k',
      'write -P 5 60M 4k',
    ],
  })),
  ...[1, 2, 4, 8, 16, 32, 64].map((bits) => ({
    name: `refcounts of ${bits} bits`,
    options: `cluster_size=4k,refcount_bits=${bits}`,
    size: 4 * M,
    commands: ['write -P 1 0 1M', 'discard 64k 64k', 'write -P 2 2M 64k'],
  })),
];

for (const { name, options, size, commands } of CASES) {
  t.test(`reads what QEMU wrote: ${name}`, qemuTest, async (t) => {
    const path = join(directory(t), 'a.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, path, String(size));
    qemuIo(path, ...commands);
    const disk = await openDisk([loadFile(path)]);
    t.ok(Buffer.compare(await content(disk), qemuContent(path)) === 0, 'same content');
    await disk.close();
  });
}

for (const options of [
  'cluster_size=64k',
  'cluster_size=512',
  'cluster_size=2M',
  'extended_l2=on',
]) {
  t.test(`reads compressed clusters: ${options}`, qemuTest, async (t) => {
    const dir = directory(t);
    const source = join(dir, 'source.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', source, '5M');
    qemuIo(source, 'write -P 65 0 3M', 'write -P 1 1M 100k', 'write -P 9 4M 1000k');
    const path = join(dir, 'compressed.qcow2');
    qemuImg('convert', '-q', '-c', '-O', 'qcow2', '-o', options, source, path);
    const disk = await openDisk([loadFile(path)]);
    t.ok(Buffer.compare(await content(disk), qemuContent(path)) === 0, 'same content');
    await disk.close();
  });
}

t.test('reads through a backing chain', qemuTest, async (t) => {
  const dir = directory(t);
  const base = join(dir, 'base.qcow2');
  const top = join(dir, 'top.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', base, '2M');
  qemuIo(base, 'write -P 7 0 2M');
  qemuImg(
    'create',
    '-q',
    '-f',
    'qcow2',
    '-o',
    'extended_l2=on',
    '-b',
    base,
    '-F',
    'qcow2',
    top,
    '3M',
  );
  qemuIo(top, 'write -P 8 10k 4k', 'write -z 128k 6k', 'write -P 9 2500k 4k');
  const disk = await openDisk([loadFile(top), loadFile(base)]);
  t.ok(Buffer.compare(await content(disk), qemuContent(top)) === 0, 'same content');
  t.match(disk.layers[0]?.references, { backing: { location: base, format: 'qcow2' } });
  await disk.close();
});
