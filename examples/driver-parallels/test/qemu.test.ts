import { copyFile, open, readFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { pattern, randomSource } from '@lamella/driver-testkit';
import { ParallelsDriver } from '@lamella-examples/driver-parallels';
import { type Disk, Lamella } from 'lamella';
import t from 'tap';
import { lamellaImg, needsQemu, outcome, qemuIo, run } from './qemu.js';

const MiB = 2 ** 20;
const lamella = new Lamella().register(ParallelsDriver);

async function contentOf(disk: Disk): Promise<Buffer> {
  const content = Buffer.alloc(disk.size);
  await disk.read(content, 0);
  return content;
}

async function ours(path: string): Promise<Buffer> {
  await using disk = await lamella.open(path);
  return contentOf(disk);
}

async function theirs(path: string): Promise<Buffer> {
  run('qemu-img', 'convert', '-f', 'parallels', '-O', 'raw', path, `${path}.raw`);
  return readFile(`${path}.raw`);
}

/** Writes, zeroes and discards at random; what the disk then holds is returned. */
async function liveOn(path: string, content: Buffer, seed: number): Promise<void> {
  const random = randomSource(seed);
  const below = (end: number) => Math.floor(random() * end);
  await using disk = await lamella.open(path, { writable: true });
  for (let step = 0; step < 60 && disk.size > 0; step += 1) {
    const offset = below(disk.size);
    const length = Math.min(1 + below(300_000), disk.size - offset);
    const kind = random();
    if (kind < 0.6) {
      const bytes = pattern(seed + step, offset, length);
      await disk.write(bytes, offset);
      content.set(bytes, offset);
    } else if (kind < 0.8) {
      await disk.writeZeroes(offset, length);
      content.fill(0, offset, offset + length);
    } else if (kind < 0.95) {
      await disk.discard(offset, length);
      await disk.read(content.subarray(offset, offset + length), offset);
    } else {
      await disk.flush();
    }
  }
}

/** Nothing but the magic number and the cluster size differs between kinds of images. */
const KINDS = [
  { size: 5 * MiB, options: {} },
  { size: 1_234_567, options: { cluster_size: '64k' } },
  { size: 2 * MiB, options: { cluster_size: '32256' } },
  { size: 1_500_000, options: { cluster_size: 512 } },
  { size: 3 * MiB, options: { cluster_size: '64k', magic: 'WithoutFreeSpace' } },
  { size: 2 * MiB + 512, options: { cluster_size: '258048', magic: 'WithoutFreeSpace' } },
  { size: 0, options: {} },
];

for (const [number, { size, options }] of KINDS.entries()) {
  const name = `${size} bytes, ${JSON.stringify(options)}`;
  t.test(`made here, used by both: ${name}`, needsQemu, async (t) => {
    const path = join(t.testdir(), 'disk.hdd');
    await lamella.create(path, { format: 'parallels', size, options });
    const content = await ours(path);
    for (const round of [1, 2, 3]) {
      await liveOn(path, content, number * 10 + round);
      run('qemu-img', 'check', '-f', 'parallels', path);
      t.ok(content.equals(await theirs(path)), `QEMU reads what was written, round ${round}`);
      if (size > 0) {
        const start = Math.floor(size / 3 / 512) * 512;
        qemuIo(path, `write -P ${round} ${start} 100k`, `write -P 99 ${size - 1024} 512`);
        content.fill(round, start, start + 102_400);
        content.fill(99, size - 1024, size - 512);
      }
      t.ok(content.equals(await ours(path)), `what QEMU wrote is read, round ${round}`);
    }
    t.match(await lamella.check(path), { corruptions: 0, leaks: 0 });
  });
}

/** An extent as `qemu-img map --output=json` prints it. */
interface QemuExtent {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** What is not stored is zeroes here; QEMU leaves it to a backing file that may be given by hand. */
function whatMatters({ start, length, zero, data, offset }: QemuExtent): QemuExtent {
  return { start, length, zero, data, ...(offset === undefined ? {} : { offset }) };
}

t.test('made by QEMU: extents, details, bytes', needsQemu, async (t) => {
  const path = join(t.testdir(), 'disk.hdd');
  run('qemu-img', 'create', '-q', '-f', 'parallels', '-o', 'cluster_size=64k', path, '2000k');
  qemuIo(
    path,
    'write -P 1 700k 64k',
    'write -P 2 0 4k',
    'write -P 3 130k 200k',
    'write -P 4 1999k 1k',
  );
  const map: QemuExtent[] = JSON.parse(lamellaImg('map', '--output=json', path));
  const qemuMap: QemuExtent[] = JSON.parse(run('qemu-img', 'map', '--output=json', path));
  t.same(map.map(whatMatters), qemuMap.map(whatMatters), 'the same extents');
  t.ok((await ours(path)).equals(await theirs(path)), 'the same bytes');
  const info = JSON.parse(lamellaImg('info', '--output=json', path));
  t.match(info, {
    format: 'parallels',
    'virtual-size': 2000 * 1024,
    'format-specific': { data: { magic: 'WithouFreSpacExt', 'in-use': false } },
  });
});

t.test('a new image is what QEMU makes, byte for byte', needsQemu, async (t) => {
  const folder = t.testdir();
  for (const [size, cluster] of [
    ['10M', '1M'],
    ['1234567', '64k'],
    ['100M', '512'],
    ['10M', '63k'],
    ['0', '1M'],
  ] as const) {
    const [left, right] = [join(folder, `${size}-${cluster}`), join(folder, 'theirs')];
    run(
      'qemu-img',
      'create',
      '-q',
      '-f',
      'parallels',
      '-o',
      `cluster_size=${cluster}`,
      right,
      size,
    );
    await lamella.create(left, {
      format: 'parallels',
      size: Number(JSON.parse(run('qemu-img', 'info', '--output=json', right))['virtual-size']),
      options: { cluster_size: cluster === '63k' ? 63 * 1024 : cluster },
    });
    t.ok((await readFile(left)).equals(await readFile(right)), `${size} in clusters of ${cluster}`);
  }
});

t.test('resizing, which QEMU can not', needsQemu, async (t) => {
  const path = join(t.testdir(), 'disk.hdd');
  run('qemu-img', 'create', '-q', '-f', 'parallels', '-o', 'cluster_size=64k', path, '1000k');
  qemuIo(path, 'write -P 1 0 1000k');
  const expected = Buffer.alloc(5 * MiB);
  expected.fill(1, 0, 500 * 1024);
  {
    await using disk = await lamella.open(path, { writable: true });
    await disk.resize(500 * 1024);
    await disk.resize(5 * MiB);
    t.ok(expected.equals(await contentOf(disk)), 'what it gained is zeroes');
  }
  run('qemu-img', 'check', '-f', 'parallels', path);
  t.ok(expected.equals(await theirs(path)));
  t.ok((await stat(path)).size < MiB, 'space was given back');
});

t.test('an image that was not closed', needsQemu, async (t) => {
  const folder = t.testdir();
  const path = join(folder, 'disk.hdd');
  const crashed = join(folder, 'crashed.hdd');
  await lamella.create(path, { format: 'parallels', size: 5 * MiB });
  {
    await using disk = await lamella.open(path, { writable: true });
    await disk.write(Buffer.alloc(MiB, 1), 0);
    await disk.flush();
    await copyFile(path, crashed);
  }
  await truncate(crashed, (await stat(crashed)).size + 3 * MiB - 1);

  const found = outcome('qemu-img', 'check', '-f', 'parallels', '--output=json', crashed);
  const report = JSON.parse(found.stdout);
  const { corruptions, leaks, imageEndOffset } = await lamella.check(crashed);
  t.equal(found.status, 2);
  t.same([corruptions, leaks], [report.corruptions, report.leaks], 'both find the same');
  t.equal(imageEndOffset, report['image-end-offset']);

  t.same(await ours(crashed), Buffer.concat([Buffer.alloc(MiB, 1), Buffer.alloc(4 * MiB)]));
  const repaired = join(folder, 'repaired.hdd');
  await copyFile(crashed, repaired);
  const { corruptionsFixed, leaksFixed } = await lamella.check(repaired, { repair: 'all' });
  t.same([corruptionsFixed, leaksFixed], [1, 3]);
  run('qemu-img', 'check', '-f', 'parallels', repaired);

  {
    await using disk = await lamella.open(crashed, { writable: true });
    await disk.write(Buffer.alloc(MiB, 2), 3 * MiB);
  }
  run('qemu-img', 'check', '-f', 'parallels', crashed);
  t.equal((await stat(crashed)).size, 3 * MiB, 'what the crash left is used');
});

t.test('clusters that lead nowhere are cleared by a repair', needsQemu, async (t) => {
  const path = join(t.testdir(), 'disk.hdd');
  run('qemu-img', 'create', '-q', '-f', 'parallels', '-o', 'cluster_size=64k', path, '1M');
  qemuIo(path, 'write -P 1 0 128k');
  const file = await open(path, 'r+');
  await file.write(Buffer.from([0xff]), 0, 1, 64);
  await file.close();
  await t.rejects(lamella.open(path, { writable: true }), { code: 'CORRUPT', offset: 64 });
  t.match(await lamella.check(path, { repair: 'all' }), { corruptions: 0, corruptionsFixed: 1 });
  run('qemu-img', 'check', '-f', 'parallels', path);
  t.same(
    (await ours(path)).subarray(0, 131_072),
    Buffer.concat([Buffer.alloc(65_536), Buffer.alloc(65_536, 1)]),
  );
});

t.test('the command line makes and fills images', needsQemu, async (t) => {
  const path = join(t.testdir(), 'disk.hdd');
  const source = join(t.testdir(), 'source.qcow2');
  const help = lamellaImg('create', '-f', 'parallels', '-o', 'help');
  t.match(help, /cluster_size=<size> +- Parallels image cluster size/);
  run('qemu-img', 'create', '-q', '-f', 'qcow2', source, '9M');
  run('qemu-io', '-c', 'write -P 7 3M 2M', '-c', 'write -P 8 0 64k', source);
  lamellaImg('convert', '-O', 'parallels', '-o', 'cluster_size=128k', source, path);
  t.match(run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'parallels', source, path), 'identical');
  run('qemu-img', 'check', '-f', 'parallels', path);
});
