import { BlkdebugDriver } from '@lamella/filters';
import { paths } from '@lamella/test-support';
import { Lamella, type ReferenceRequest, STORAGE_DRIVER } from 'lamella';
import t, { type Test } from 'tap';
import { bytesOf } from './helpers.js';

const SIZE = 131_072;

const lamella = new Lamella();
lamella.container.register(STORAGE_DRIVER, { useClass: BlkdebugDriver });

function jsonName(value: object): string {
  return `json:${JSON.stringify(value)}`;
}

/** A file below so many filters. */
function filtered(filename: string, filters: number): object {
  return filters === 0
    ? { driver: 'file', filename }
    : { driver: 'blkdebug', image: filtered(filename, filters - 1) };
}

/** Two images with 1 and 2 in all bytes, and an overlay on the first that has 7 in its first sector. */
async function images(t: Test) {
  const at = paths(t);
  for (const [name, byte] of [
    ['one.raw', 1],
    ['two.raw', 2],
  ] as const) {
    await lamella.create(at(name), { format: 'raw', size: SIZE });
    await using disk = await lamella.open(at(name), { format: 'raw', writable: true });
    await disk.write(Buffer.alloc(SIZE, byte), 0);
  }
  await lamella.create(at('over.qcow2'), {
    format: 'qcow2',
    backing: { location: 'one.raw', format: 'raw' },
  });
  await using disk = await lamella.open(at('over.qcow2'), { writable: true });
  await disk.write(Buffer.alloc(512, 7), 0);
  return at;
}

/** The first byte of the overlay's own sector, and one of what lies below. */
async function firstBytes(
  name: string,
  options: Parameters<Lamella['open']>[1] = {},
): Promise<number[]> {
  await using disk = await lamella.open(name, options);
  const bytes = await bytesOf(disk, 0, SIZE);
  return [bytes[0] ?? -1, bytes[SIZE - 1] ?? -1];
}

t.test('filters over filters, at any depth', async (t) => {
  const at = await images(t);
  for (const depth of [1, 2, 5]) {
    const name = jsonName({ driver: 'qcow2', file: filtered(at('over.qcow2'), depth) });
    // The image's own reference is relative to the file, not to the filters.
    const below = { driver: 'raw', file: filtered(at('one.raw'), depth) };
    const whole = jsonName({
      driver: 'qcow2',
      file: filtered(at('over.qcow2'), depth),
      backing: below,
    });
    t.same(await firstBytes(whole), [7, 1], `${depth}`);
    t.same(await firstBytes(name), [7, 1], `${depth}`);
  }
});

t.test('a backing reference over filters', async (t) => {
  const at = await images(t);
  const backing = jsonName({ driver: 'raw', file: filtered(at('two.raw'), 2) });
  await lamella.create(at('top.qcow2'), { format: 'qcow2', backing });
  t.same(await firstBytes(at('top.qcow2')), [2, 2]);
  const asked: ReferenceRequest[] = [];
  const references = (request: ReferenceRequest) => asked.push(request) > 0;
  t.same(await firstBytes(at('top.qcow2'), { references }), [2, 2]);
  t.match(asked, [{ kind: 'backing', reference: backing, location: /^json:.*blkdebug.*two\.raw/ }]);
  const folderOnly = { references: { within: [at('.')] } };
  await t.rejects(lamella.open(at('top.qcow2'), folderOnly), { code: 'REFERENCE_DENIED' });
});

t.test('what a name says of the layer below', async (t) => {
  const at = await images(t);
  const file = { driver: 'file', filename: at('over.qcow2') };
  const two = { driver: 'raw', file: { driver: 'file', filename: at('two.raw') } };
  const over = { driver: 'qcow2', file };
  t.same(await firstBytes(jsonName({ ...over, backing: two })), [7, 2], 'another file');
  t.same(await firstBytes(jsonName({ ...over, backing: null })), [7, 0], 'none');
  t.same(await firstBytes(jsonName({ ...over, backing: { driver: 'raw' } })), [7, 1], 'a format');
  t.same(
    await firstBytes(jsonName({ ...over, backing: { driver: 'raw', offset: 512, size: 512 } })),
    [7, 0],
    'options',
  );
  const third = { driver: 'qcow2', file: { driver: 'file', filename: at('third.qcow2') } };
  await lamella.create(at('third.qcow2'), { format: 'qcow2', backing: 'over.qcow2' });
  t.same(
    await firstBytes(jsonName({ ...third, backing: { backing: two } })),
    [7, 2],
    'further down',
  );
  await t.rejects(lamella.open(jsonName({ ...two, backing: two })), { code: 'INVALID_ARGUMENT' });
  await t.rejects(lamella.open(jsonName({ ...over, backing: 'node' })), { code: 'UNSUPPORTED' });
});

t.test(
  'the reference policy is asked of what images say, and not of what the caller says',
  async (t) => {
    const at = await images(t);
    const two = { driver: 'raw', file: { driver: 'file', filename: at('two.raw') } };
    const over = { driver: 'qcow2', file: { driver: 'file', filename: at('over.qcow2') } };
    const named = jsonName({ ...over, backing: two });
    t.same(await firstBytes(named, { references: 'deny' }), [7, 2]);
    const format = jsonName({ ...over, backing: { driver: 'raw' } });
    const disk = await lamella.open(format, { references: 'deny' });
    t.equal(disk.layers.length, 1, "the file is still the image's choice");
    await disk.close();

    await lamella.create(at('sly.qcow2'), { format: 'qcow2', backing: named });
    t.same(await firstBytes(at('sly.qcow2')), [7, 2]);
    const asked: string[] = [];
    const references = ({ location }: ReferenceRequest) => asked.push(location) > 0;
    t.same(await firstBytes(at('sly.qcow2'), { references }), [7, 2]);
    t.same(
      asked,
      [at('over.qcow2'), at('two.raw')],
      'also for what the name says of the layer below',
    );
    const refuse = ({ location }: ReferenceRequest) => location !== at('two.raw');
    await t.rejects(lamella.open(at('sly.qcow2'), { references: refuse }), {
      code: 'REFERENCE_DENIED',
    });
  },
);
