import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VdiDriver } from '@lamella-examples/driver-vdi';
import { Lamella } from 'lamella';
import t from 'tap';
import { lamellaImg, needsQemu, qemuIo, run } from './qemu.js';

/** Images as QEMU makes them: how they are created, and what is written. */
const IMAGES: readonly {
  readonly name: string;
  readonly size: string;
  readonly options: string;
  readonly commands: readonly string[];
}[] = [
  { name: 'empty', size: '3M', options: 'static=off', commands: [] },
  { name: 'of no size', size: '0', options: 'static=off', commands: [] },
  {
    name: 'dynamic',
    size: '11776k',
    options: 'static=off',
    commands: [
      'write -P 1 9M 64k',
      'write -P 2 0 4k',
      'write -P 3 1020k 8k',
      'write -P 4 4M 2M',
      'write -z 6M 2M',
      'write -P 5 11700k 76k',
    ],
  },
  {
    name: 'static',
    size: '5632k',
    options: 'static=on',
    commands: ['write -P 6 1M 4k', 'write -P 7 3000k 1M', 'write -P 8 5631k 1k'],
  },
  {
    name: 'large',
    size: '300G',
    options: 'static=off',
    commands: ['write -P 9 200G 64k', 'write -P 10 307199M 1M'],
  },
];

/** An extent as `qemu-img map --output=json` prints it. */
interface QemuExtent {
  readonly start: number;
  readonly length: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** Holes in the file of a static image are `data` for QEMU, and none here: both read them as zeroes. */
function whatMatters({ start, length, present, zero, data, offset }: QemuExtent): QemuExtent {
  const place = offset === undefined ? {} : { offset };
  return { start, length, present, zero, data: data && !zero, ...place };
}

for (const { name, size, options, commands } of IMAGES) {
  t.test(`an image of QEMU's: ${name}`, needsQemu, async (t) => {
    const path = join(t.testdir(), 'disk.vdi');
    run('qemu-img', 'create', '-q', '-f', 'vdi', '-o', options, path, size);
    if (commands.length > 0) {
      qemuIo(path, ...commands);
    }

    const info = JSON.parse(lamellaImg('info', '--output=json', path));
    const qemuInfo = JSON.parse(run('qemu-img', 'info', '--output=json', path));
    t.match(info, {
      'virtual-size': qemuInfo['virtual-size'],
      'cluster-size': qemuInfo['cluster-size'],
      format: 'vdi',
      'format-specific': {
        type: 'vdi',
        data: { type: options.endsWith('on') ? 'static' : 'dynamic' },
      },
    });

    const map: QemuExtent[] = JSON.parse(lamellaImg('map', '--output=json', path));
    const qemuMap: QemuExtent[] = JSON.parse(run('qemu-img', 'map', '--output=json', path));
    t.same(map.map(whatMatters), qemuMap.map(whatMatters), 'the same extents');

    const lamella = new Lamella().register(VdiDriver);
    if (name !== 'large') {
      const raw = `${path}.raw`;
      run('qemu-img', 'convert', '-O', 'raw', path, raw);
      await using disk = await lamella.open(path);
      const content = new Uint8Array(disk.size);
      await disk.read(content, 0);
      t.ok(Buffer.from(content).equals(await readFile(raw)), 'the same bytes');
    }
    const copy = `${path}.qcow2`;
    await lamella.convert(path, copy, { format: 'qcow2' });
    t.match(run('qemu-img', 'compare', path, copy), 'Images are identical');
  });
}

t.test('an image that is opened for writing is left alone', needsQemu, async (t) => {
  const path = join(t.testdir(), 'disk.vdi');
  run('qemu-img', 'create', '-q', '-f', 'vdi', path, '3M');
  const before = await readFile(path);
  await using disk = await new Lamella().register(VdiDriver).open(path, { writable: true });
  await t.rejects(disk.write(new Uint8Array(512), 0), { code: 'READ_ONLY' });
  t.ok(before.equals(await readFile(path)));
});

t.test('details of an image for people', needsQemu, async (t) => {
  const path = join(t.testdir(), 'disk.vdi');
  run('qemu-img', 'create', '-q', '-f', 'vdi', path, '3M');
  qemuIo(path, 'write 0 1M');
  const text = lamellaImg('info', path);
  t.match(text, /^file format: vdi$/m);
  t.match(text, /^cluster_size: 1048576$/m);
  t.match(text, /^ {4}type: dynamic$/m);
  t.match(text, /^ {4}stored blocks: 1$/m);
  t.match(text, /^ {4}uuid: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/m);
});
