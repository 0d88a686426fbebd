import { existsSync, readFileSync, statSync } from 'node:fs';
import { paths } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';
import {
  contentOf,
  LARGE_QED,
  MIB,
  make,
  QCOW2,
  QCOW2_EXTENDED,
  QCOW2_V2,
  QED,
  RAW,
  scribble,
} from './support/chains.js';
import { pattern } from './support/files.js';

const lamella = new Lamella();
const at = paths(t);
const SIZE = 9 * MIB + 512;

t.test('every format into every other shows the same', async (t) => {
  for (const source of [RAW, QED, QCOW2]) {
    await make(lamella, at('source.img'), source, SIZE);
    await scribble(lamella, at('source.img'), source.format, 1);
    const before = await contentOf(lamella, at('source.img'), source.format);
    for (const target of [RAW, QED, LARGE_QED, QCOW2, QCOW2_V2, QCOW2_EXTENDED]) {
      const { format, options } = target;
      const result = await lamella.convert(at('source.img'), at('target.img'), {
        sourceFormat: source.format,
        format,
        options,
        overwrite: true,
      });
      const after = await contentOf(lamella, at('target.img'), format);
      t.equal(Buffer.compare(after.subarray(0, SIZE), before), 0, `${source.name}, ${target.name}`);
      t.ok(result.written <= result.read, 'nothing is written that was not read');
      const compared = await lamella.compare(at('source.img'), at('target.img'), {
        format: source.format,
        otherFormat: format,
      });
      t.equal(compared.difference, 'none');
    }
  }
});

t.test('compressed copies show the same and are smaller', async (t) => {
  await make(lamella, at('text.raw'), RAW, SIZE);
  const disk = await lamella.open(at('text.raw'), { format: 'raw', writable: true });
  await disk.write(Buffer.alloc(3 * MIB, 'a line of text, again and again\n'), MIB + 512);
  await disk.close();
  for (const compression_type of ['zlib', 'zstd']) {
    await lamella.convert(at('text.raw'), at('packed.qcow2'), {
      sourceFormat: 'raw',
      format: 'qcow2',
      options: { compression_type },
      compress: true,
      overwrite: true,
    });
    t.same(
      await contentOf(lamella, at('packed.qcow2'), 'qcow2'),
      await contentOf(lamella, at('text.raw'), 'raw'),
    );
    t.ok(statSync(at('packed.qcow2')).size < MIB, compression_type);
  }
});

t.test('holes and zeroes take no space in the copy, unless everything is asked for', async (t) => {
  await make(lamella, at('zeroes.raw'), RAW, 4 * MIB);
  const disk = await lamella.open(at('zeroes.raw'), { format: 'raw', writable: true });
  await disk.write(new Uint8Array(MIB), 0);
  await disk.write(pattern(5, MIB), 2 * MIB);
  await disk.close();
  const copy = { sourceFormat: 'raw', format: 'qcow2', overwrite: true };
  await lamella.convert(at('zeroes.raw'), at('sparse.qcow2'), copy);
  const sparse = await lamella.open(at('sparse.qcow2'));
  const held: unknown[] = [];
  for await (const { kind, offset, length } of sparse.extents()) {
    held.push([kind, offset, length]);
  }
  await sparse.close();
  t.same(held, [
    ['unallocated', 0, 2 * MIB],
    ['data', 2 * MIB, MIB],
    ['unallocated', 3 * MIB, MIB],
  ]);
  await lamella.convert(at('zeroes.raw'), at('full.qcow2'), { ...copy, sparse: 0 });
  t.ok(statSync(at('full.qcow2')).size > 4 * MIB);
});

t.test('several sources become one disk, and a range of them can be taken', async (t) => {
  const parts = [3 * MIB, 512, 2 * MIB];
  const bytes: Uint8Array[] = [];
  for (const [index, size] of parts.entries()) {
    const path = at(`part${index}.raw`);
    await make(lamella, path, RAW, size);
    const disk = await lamella.open(path, { format: 'raw', writable: true });
    bytes.push(pattern(index + 1, size));
    await disk.write(pattern(index + 1, size), 0);
    await disk.close();
  }
  const sources = parts.map((_size, index) => at(`part${index}.raw`));
  const copy = { sourceFormat: 'raw', format: 'raw', overwrite: true };
  await lamella.convert(sources, at('joined.raw'), copy);
  const all = Buffer.concat(bytes);
  t.equal(Buffer.compare(readFileSync(at('joined.raw')), all), 0);
  const range = { offset: 2 * MIB + 512, length: 2 * MIB };
  await lamella.convert(sources, at('joined.raw'), { ...copy, range });
  const wanted = all.subarray(range.offset, range.offset + range.length);
  t.equal(Buffer.compare(readFileSync(at('joined.raw')), wanted), 0);
});

t.test('over a backing file only what the top image holds is copied', async (t) => {
  await make(lamella, at('base.raw'), RAW, SIZE);
  await scribble(lamella, at('base.raw'), 'raw', 1);
  await make(lamella, at('top.qcow2'), QCOW2, SIZE, { location: 'base.raw', format: 'raw' });
  const disk = await lamella.open(at('top.qcow2'), { writable: true });
  await disk.write(pattern(9, 5000), MIB);
  await disk.writeZeroes(2 * MIB, MIB);
  await disk.close();
  const result = await lamella.convert(at('top.qcow2'), at('copy.qcow2'), {
    format: 'qcow2',
    backing: { location: 'base.raw', format: 'raw' },
    overwrite: true,
  });
  t.ok(result.written < MIB);
  t.ok(result.zeroed >= MIB);
  t.same(
    await contentOf(lamella, at('copy.qcow2'), 'qcow2'),
    await contentOf(lamella, at('top.qcow2'), 'qcow2'),
  );
});

t.test('an abort or a failure leaves no copy, and a source is never overwritten', async (t) => {
  await make(lamella, at('whole.raw'), RAW, SIZE);
  await scribble(lamella, at('whole.raw'), 'raw', 1);
  const abort = new AbortController();
  const copy = lamella.convert(at('whole.raw'), at('gone.qcow2'), {
    format: 'qcow2',
    signal: abort.signal,
    onProgress: () => abort.abort(),
  });
  await t.rejects(copy, { code: 'ABORTED' });
  t.notOk(existsSync(at('gone.qcow2')));
  const packed = { format: 'raw', compress: true };
  await t.rejects(lamella.convert(at('whole.raw'), at('gone.raw'), packed), {
    code: 'UNSUPPORTED',
  });
  t.notOk(existsSync(at('gone.raw')));
  const onto = { format: 'raw', overwrite: true };
  const before = readFileSync(at('whole.raw'));
  await t.rejects(lamella.convert(at('whole.raw'), at('whole.raw'), onto), { code: 'CHAIN_LOOP' });
  t.equal(Buffer.compare(readFileSync(at('whole.raw')), before), 0);
});

t.test('compare finds the first sector that differs', async (t) => {
  await make(lamella, at('a.raw'), RAW, 3 * MIB);
  await make(lamella, at('b.qcow2'), QCOW2, 4 * MIB);
  const same = await lamella.compare(at('a.raw'), at('b.qcow2'));
  t.same(same, { difference: 'none', longer: true });
  t.match(await lamella.compare(at('a.raw'), at('b.qcow2'), { strict: true }), {
    difference: 'size',
  });
  const disk = await lamella.open(at('b.qcow2'), { writable: true });
  await disk.write(Uint8Array.of(1), 3 * MIB + 1000);
  await disk.close();
  t.same(await lamella.compare(at('a.raw'), at('b.qcow2')), {
    difference: 'content',
    offset: 3 * MIB + 512,
    longer: true,
  });
  const raw = await lamella.open(at('a.raw'), { format: 'raw', writable: true });
  await raw.write(Uint8Array.of(1), MIB + 513);
  await raw.close();
  t.same(await lamella.compare(at('a.raw'), at('b.qcow2')), {
    difference: 'content',
    offset: MIB + 512,
    longer: false,
  });
});
