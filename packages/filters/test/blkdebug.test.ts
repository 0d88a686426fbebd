import { writeFileSync } from 'node:fs';
import { BlkdebugDriver, FaultStorage } from '@lamella/filters';
import { paths } from '@lamella/test-support';
import { type Disk, Lamella, STORAGE_DRIVER } from 'lamella';
import t from 'tap';
import { bytesOf } from './helpers.js';

const SIZE = 1024 * 1024;
const CLUSTER = 65_536;

function withBlkdebug(): Lamella {
  const lamella = new Lamella();
  lamella.container.register(STORAGE_DRIVER, { useClass: BlkdebugDriver });
  return lamella;
}

const lamella = withBlkdebug();

/** A `json:` name of an image over the filter. */
function named(format: string, filename: string, options: object): string {
  const file = { driver: 'blkdebug', image: { driver: 'file', filename }, ...options };
  return `json:${JSON.stringify({ driver: format, file })}`;
}

function faultsOf(disk: Disk): FaultStorage {
  const [{ storage }] = disk.openLayers;
  if (!(storage instanceof FaultStorage)) {
    throw new Error('no filter');
  }
  return storage;
}

t.test('rules tell guest data from metadata, for every format', async (t) => {
  const at = paths(t);
  for (const format of ['raw', 'qcow2', 'qed']) {
    const path = at(`a.${format}`);
    await lamella.create(path, { format, size: SIZE });
    const rules = {
      'inject-error': [{ event: 'write_aio', errno: 28, once: true, iotype: 'write' }],
    };
    await using disk = await lamella.open(named(format, path, rules), { writable: true });
    await t.rejects(disk.write(Buffer.alloc(512, 1), 0), { code: 'NO_SPACE' }, format);
    t.ok((await bytesOf(disk, 0, 512)).equals(Buffer.alloc(512)), 'nothing was written');
    await disk.write(Buffer.alloc(512, 2), 0);
    await disk.flush();
    t.ok((await bytesOf(disk, 0, 512)).equals(Buffer.alloc(512, 2)), 'the rule is used up');
  }
});

t.test('what a driver reads for itself is not the guest reading', async (t) => {
  const at = paths(t);
  for (const format of ['qcow2', 'qed']) {
    const path = at(`c.${format}`);
    await lamella.create(path, { format, size: SIZE });
    {
      await using disk = await lamella.open(path, { writable: true });
      await disk.write(Buffer.alloc(CLUSTER, 1), 0);
    }
    const rules = { 'inject-error': [{ event: 'read_aio', once: true }] };
    await using disk = await lamella.open(named(format, path, rules));
    t.ok((await bytesOf(disk, 2 * CLUSTER, 512)).equals(Buffer.alloc(512)), 'tables are read');
    await t.rejects(bytesOf(disk, 0, 512), { code: 'IO_ERROR' }, format);
    t.ok((await bytesOf(disk, 0, 512)).equals(Buffer.alloc(512, 1)));
  }
});

t.test('an image whose write failed is sound', async (t) => {
  const at = paths(t);
  for (const format of ['qcow2', 'qed']) {
    const path = at(`b.${format}`);
    await lamella.create(path, { format, size: SIZE });
    const rules = {
      'inject-error': [
        { event: 'none', sector: 0, iotype: 'discard' },
        { event: 'write_aio', once: true },
      ],
    };
    {
      await using disk = await lamella.open(named(format, path, rules), { writable: true });
      await t.rejects(disk.write(Buffer.alloc(CLUSTER, 1), CLUSTER), { code: 'IO_ERROR' });
      await disk.write(Buffer.alloc(CLUSTER, 3), 3 * CLUSTER);
    }
    const result = await lamella.check(path);
    t.equal(result.corruptions, 0, format);
    await using disk = await lamella.open(path);
    t.ok((await bytesOf(disk, CLUSTER, CLUSTER)).equals(Buffer.alloc(CLUSTER)));
    t.ok((await bytesOf(disk, 3 * CLUSTER, CLUSTER)).equals(Buffer.alloc(CLUSTER, 3)));
  }
});

t.test('states: the second write fails, and only that one', async (t) => {
  const at = paths(t);
  await lamella.create(at('a.raw'), { format: 'raw', size: SIZE });
  const rules = {
    'set-state': [
      { event: 'write_aio', state: 1, new_state: 2 },
      { event: 'write_aio', state: 2, new_state: 3 },
    ],
    'inject-error': [{ event: 'write_aio', state: 2, once: true }],
  };
  await using disk = await lamella.open(named('raw', at('a.raw'), rules), { writable: true });
  await disk.write(Buffer.alloc(512, 1), 0);
  await t.rejects(disk.write(Buffer.alloc(512, 2), 0), { code: 'IO_ERROR' });
  await disk.write(Buffer.alloc(512, 3), 512);
  t.equal((await bytesOf(disk, 0, 1))[0], 1);
  t.equal((await bytesOf(disk, 512, 1))[0], 3);
});

t.test('a request stops at a breakpoint until it is resumed', async (t) => {
  const at = paths(t);
  await lamella.create(at('a.qcow2'), { format: 'qcow2', size: SIZE });
  await using disk = await lamella.open(`blkdebug::${at('a.qcow2')}`, { writable: true });
  const { breakpoints } = faultsOf(disk);
  const heard: string[] = [];
  breakpoints.listener = {
    suspended: (tag) => heard.push(`${tag} stops`),
    resumed: (tag) => heard.push(`${tag} goes on`),
  };
  breakpoints.add('write_aio', 'A');
  const writing = disk.write(Buffer.alloc(512, 1), 0).then(() => heard.push('written'));
  await breakpoints.waitFor('A');
  await disk.write(Buffer.alloc(512, 2), 5 * CLUSTER);
  heard.push('another');
  t.notOk(breakpoints.resume('B'));
  t.ok(breakpoints.resume('A'));
  await writing;
  t.same(heard, ['A stops', 'another', 'A goes on', 'written']);
  breakpoints.add('write_aio', 'C');
  t.ok(breakpoints.remove('C'));
  t.notOk(breakpoints.remove('C'));
});

t.test('a configuration file, and what can be wrong with one', async (t) => {
  const at = paths(t);
  await lamella.create(at('a.raw'), { format: 'raw', size: SIZE });
  const open = (text: string): Promise<Disk> => {
    writeFileSync(at('rules.conf'), text);
    return lamella.open(`blkdebug:${at('rules.conf')}:${at('a.raw')}`, { format: 'raw' });
  };
  {
    await using disk = await open('# reads\n[inject-error]\nevent = "read_aio"\nerrno = "13"\n');
    const { cause } = await disk.read(Buffer.alloc(1), 0).then(
      () => new Error('read'),
      (error: Error) => error,
    );
    t.match(cause, { code: 'EACCES' });
  }
  for (const text of [
    'event = "read_aio"',
    '[inject-error]\nevent',
    '[inject-error]\nevent = "nothing"',
    '[inject-error]\nerrno = "5"',
    '[inject-error]\nevent = "none"\nerrno = "five"',
    '[inject-error]\nevent = "none"\nfoo = "5"',
    '[foo]\nevent = "none"',
  ]) {
    await t.rejects(open(text), { code: 'INVALID_ARGUMENT' }, text);
  }
  await t.rejects(open('[inject-error]\nevent = "l2_load"'), { code: 'UNSUPPORTED' });
  await t.rejects(lamella.open('blkdebug:nowhere:nothing'), { code: 'INVALID_ARGUMENT' });
  await t.rejects(lamella.open('blkdebug:nothing'), { code: 'INVALID_ARGUMENT' });
  await t.rejects(lamella.open('json:{"driver":"raw","file":{"driver":"blkdebug"}}'), {
    code: 'INVALID_ARGUMENT',
  });
});

t.test('an image may not reach out of its directory through the filter', async (t) => {
  const at = paths(t);
  await lamella.create(at('secret.raw'), { format: 'raw', size: SIZE });
  await lamella.create(at('top.qcow2'), {
    format: 'qcow2',
    size: SIZE,
    backing: { location: named('raw', at('secret.raw'), {}), format: 'raw' },
    references: 'deny',
  });
  await t.rejects(lamella.open(at('top.qcow2'), { references: { within: [at('.')] } }), {
    code: 'REFERENCE_DENIED',
  });
});

t.test('nothing of the filter is seen without its name', async (t) => {
  await t.rejects(new Lamella().open('blkdebug::a.raw'), { code: 'UNKNOWN_SCHEME' });
  await t.rejects(
    new Lamella().open('json:{"driver":"raw","file":{"driver":"blkdebug","image.filename":"a"}}'),
    { code: 'UNKNOWN_SCHEME' },
  );
});
