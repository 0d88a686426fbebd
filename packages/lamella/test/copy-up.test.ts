import { join } from 'node:path';
import fc from 'fast-check';
import { Lamella } from 'lamella';
import t from 'tap';
import { sandbox } from './support/sandbox.js';

const UNIT = 4096;
const UNITS = 64;
const SIZE = UNIT * UNITS;
const lamella = new Lamella();

const stretch = fc
  .tuple(fc.nat(UNITS - 1), fc.integer({ min: 1, max: 12 }))
  .map(([unit, count]) => ({
    offset: unit * UNIT,
    length: Math.min(count, UNITS - unit) * UNIT,
  }));

/** Stretches of a disk that do not touch each other, each with something to do there. */
const changes = fc.uniqueArray(fc.nat(UNITS - 1), { minLength: 1, maxLength: 30 }).chain((units) =>
  fc.tuple(
    ...units.map((unit) =>
      fc.record({
        offset: fc.constant(unit * UNIT + 100),
        length: fc.integer({ min: 1, max: UNIT - 100 }),
        action: fc.constantFrom('write', 'zero'),
      }),
    ),
  ),
);

t.test('copying up never undoes what is written meanwhile', async (t) => {
  const directory = sandbox(t);
  const at = (name: string) => join(directory, name);
  await lamella.create(at('base.raw'), { format: 'raw', size: SIZE });
  const old = Buffer.alloc(SIZE, 'lower layer ');
  {
    await using base = await lamella.open(at('base.raw'), { format: 'raw', writable: true });
    await base.write(old, 0);
  }
  for (const [format, options] of [
    ['qcow2', { cluster_size: '16k' }],
    ['qcow2', { cluster_size: '32k', extended_l2: true }],
    ['qed', {}],
  ] as const) {
    const seed = Date.now() % 2 ** 31;
    t.comment(`seed ${seed}`);
    await fc.assert(
      fc.asyncProperty(changes, fc.array(stretch, { minLength: 1 }), async (changed, copied) => {
        await lamella.create(at('top'), {
          format,
          options,
          overwrite: true,
          backing: { location: 'base.raw', format: 'raw' },
        });
        const model = Buffer.from(old);
        {
          await using disk = await lamella.open(at('top'), { writable: true });
          const writes = changed.map(async ({ offset, length, action }) => {
            model.fill(action === 'write' ? 7 : 0, offset, offset + length);
            await (action === 'write'
              ? disk.write(Buffer.alloc(length, 7), offset)
              : disk.writeZeroes(offset, length));
          });
          const copies = copied.map(({ offset, length }) => disk.copyUp(offset, length));
          await Promise.all([...writes, ...copies]);
          for await (const { offset, length, layer } of disk.extents()) {
            const inside = copied.some(
              (copy) => copy.offset < offset + length && offset < copy.offset + copy.length,
            );
            if (inside && layer !== 0) {
              throw new Error(`${offset} is still in layer ${layer}`);
            }
          }
        }
        await using again = await lamella.open(at('top'));
        const bytes = Buffer.alloc(SIZE);
        await again.read(bytes, 0);
        if (!bytes.equals(model)) {
          throw new Error('content differs');
        }
      }),
      { seed, numRuns: 60 },
    );
    t.pass(`${format}`);
  }
});
