import { type ErrorCode, isLamellaError, MemoryStorage } from '@lamella/core';
import t from 'tap';
import { bytesOf, create, driver, MIB, openReadOnly, openWritable, sameBytes } from './helpers.js';

async function freshBytes(): Promise<Uint8Array> {
  const storage = new MemoryStorage();
  await create(storage, 4 * MIB, { cluster_size: 4096, table_size: 2 });
  return bytesOf(storage);
}

interface BadHeader {
  readonly name: string;
  readonly code: ErrorCode;
  readonly offset?: number;
  readonly message?: RegExp;
  readonly change: (view: DataView, bytes: Uint8Array) => void;
}

const BAD: readonly BadHeader[] = [
  {
    name: 'magic',
    code: 'WRONG_FORMAT',
    offset: 0,
    change: (v) => v.setUint32(0, 0x0145_4451, true),
  },
  {
    name: 'cluster size 0',
    code: 'INVALID_HEADER',
    offset: 4,
    change: (v) => v.setUint32(4, 0, true),
  },
  {
    name: 'cluster size 2048',
    code: 'INVALID_HEADER',
    offset: 4,
    change: (v) => v.setUint32(4, 2048, true),
  },
  {
    name: 'cluster size 12288',
    code: 'INVALID_HEADER',
    offset: 4,
    change: (v) => v.setUint32(4, 12288, true),
  },
  {
    name: 'cluster size 128 MiB',
    code: 'INVALID_HEADER',
    offset: 4,
    change: (v) => v.setUint32(4, 2 ** 27, true),
  },
  {
    name: 'table size 0',
    code: 'INVALID_HEADER',
    offset: 8,
    change: (v) => v.setUint32(8, 0, true),
  },
  {
    name: 'table size 3',
    code: 'INVALID_HEADER',
    offset: 8,
    change: (v) => v.setUint32(8, 3, true),
  },
  {
    name: 'table size 32',
    code: 'INVALID_HEADER',
    offset: 8,
    change: (v) => v.setUint32(8, 32, true),
  },
  {
    name: 'header size 0',
    code: 'INVALID_HEADER',
    offset: 12,
    change: (v) => v.setUint32(12, 0, true),
  },
  {
    name: 'header size 2^32-1',
    code: 'TRUNCATED',
    offset: 12,
    change: (v) => v.setUint32(12, 0xffff_ffff, true),
  },
  {
    name: 'unknown features',
    code: 'UNSUPPORTED',
    offset: 16,
    message: /bit 3, 31/,
    change: (v) => v.setUint32(16, 0x8000_0008, true),
  },
  {
    name: 'unknown high features',
    code: 'UNSUPPORTED',
    offset: 16,
    message: /bit 32, 63/,
    change: (v) => v.setUint32(20, 0x8000_0001, true),
  },
  {
    name: 'L1 beyond 2^53',
    code: 'LIMIT_EXCEEDED',
    change: (v) => v.setUint32(44, 0x8000_0000, true),
  },
  {
    name: 'L1 unaligned',
    code: 'INVALID_HEADER',
    offset: 40,
    change: (v) => v.setUint32(40, 4097, true),
  },
  {
    name: 'L1 within the header',
    code: 'INVALID_HEADER',
    offset: 40,
    change: (v) => v.setUint32(40, 0, true),
  },
  {
    name: 'L1 past the end',
    code: 'TRUNCATED',
    offset: 40,
    change: (v) => v.setUint32(40, 8192, true),
  },
  {
    name: 'disk size no sectors',
    code: 'INVALID_HEADER',
    offset: 48,
    change: (v) => v.setUint32(48, 513, true),
  },
  {
    name: 'disk size beyond the tables',
    code: 'INVALID_HEADER',
    offset: 48,
    change: (v) => v.setUint32(52, 0x10_0000, true),
  },
  {
    name: 'disk size beyond 2^53',
    code: 'LIMIT_EXCEEDED',
    change: (v) => v.setUint32(52, 0xffff_ffff, true),
  },
  {
    name: 'backing name too long',
    code: 'INVALID_HEADER',
    offset: 60,
    change: (v) => {
      v.setUint32(16, 1, true);
      v.setUint32(56, 64, true);
      v.setUint32(60, 1024, true);
    },
  },
  {
    name: 'backing name outside the header',
    code: 'INVALID_HEADER',
    offset: 56,
    change: (v) => {
      v.setUint32(16, 1, true);
      v.setUint32(56, 0xffff_fff0, true);
      v.setUint32(60, 20, true);
    },
  },
  {
    name: 'backing name not UTF-8',
    code: 'INVALID_HEADER',
    offset: 64,
    message: /UTF-8/,
    change: (v, b) => {
      v.setUint32(16, 1, true);
      v.setUint32(56, 64, true);
      v.setUint32(60, 2, true);
      b.set([0xff, 0x41], 64);
    },
  },
  {
    name: 'backing name with NUL',
    code: 'INVALID_HEADER',
    offset: 64,
    message: /NUL/,
    change: (v, b) => {
      v.setUint32(16, 1, true);
      v.setUint32(56, 64, true);
      v.setUint32(60, 3, true);
      b.set([0x41, 0, 0x42], 64);
    },
  },
];

for (const bad of BAD) {
  t.test(`refuses: ${bad.name}`, async (t) => {
    const bytes = await freshBytes();
    bad.change(new DataView(bytes.buffer), bytes);
    const storage = MemoryStorage.from(bytes, { location: 'bad.qed' });
    const error = await openWritable(storage).then(
      () => undefined,
      (e: unknown) => e,
    );
    if (!isLamellaError(error)) {
      t.fail('opened');
      return;
    }
    t.equal(error.code, bad.code);
    t.equal(error.location, 'bad.qed');
    t.ok(error.hint);
    if (bad.offset !== undefined) {
      t.equal(error.offset, bad.offset);
    }
    if (bad.message !== undefined) {
      t.match(error.message, bad.message);
    }
    t.ok(sameBytes(await bytesOf(storage), bytes), 'nothing was written');
  });
}

t.test('short files', async (t) => {
  const bytes = await freshBytes();
  for (const [length, code] of [
    [0, 'WRONG_FORMAT'],
    [3, 'WRONG_FORMAT'],
    [4, 'TRUNCATED'],
    [63, 'TRUNCATED'],
    [64, 'TRUNCATED'],
    [4096, 'TRUNCATED'],
    [12287, 'TRUNCATED'],
  ] as const) {
    await t.rejects(
      openReadOnly(MemoryStorage.from(bytes.subarray(0, length))),
      { code },
      `${length} bytes`,
    );
  }
});

t.test('reports what the header says', async (t) => {
  const bytes = await freshBytes();
  const view = new DataView(bytes.buffer);
  view.setUint32(16, 7, true);
  view.setUint32(24, 0xffff_ffff, true);
  view.setUint32(56, 100, true);
  view.setUint32(60, 9, true);
  bytes.set(new TextEncoder().encode('bäse.img'), 100);
  const image = await openReadOnly(MemoryStorage.from(bytes));
  t.equal(image.size, 4 * MIB);
  t.equal(image.clusterSize, 4096);
  t.same(image.options, { cluster_size: 4096, table_size: 2, need_check: true });
  t.same(image.references.backing, { location: 'bäse.img', format: 'raw' });
  view.setUint32(16, 1, true);
  const probing = await openReadOnly(MemoryStorage.from(bytes));
  t.same(probing.references.backing, { location: 'bäse.img', format: undefined });
  t.notOk('need_check' in probing.options);
});

t.test('autoclear bits go when opened for writing, compat bits stay', async (t) => {
  const bytes = await freshBytes();
  const view = new DataView(bytes.buffer);
  view.setUint32(28, 0x80, true);
  view.setUint32(36, 0x80, true);
  const storage = MemoryStorage.from(bytes);
  await (await openReadOnly(storage)).close();
  t.ok(sameBytes(await bytesOf(storage), bytes), 'reading changes nothing');
  await (await openWritable(storage)).close();
  view.setUint32(36, 0, true);
  t.ok(sameBytes(await bytesOf(storage), bytes));
});

t.test('probe', async (t) => {
  t.equal(driver.probe(await freshBytes()), 100);
  t.equal(driver.probe(new Uint8Array(4096)), 0);
  t.equal(driver.probe(new Uint8Array(3)), 0);
});
