import { MemoryStorage } from '@lamella/core';
import fc from 'fast-check';
import t from 'tap';

t.test('behaves like a plain growing buffer', async (t) => {
  const MAX = 300_000;
  const command = fc.record({
    kind: fc.constantFrom('write', 'zero', 'discard', 'truncate'),
    offset: fc.nat(MAX),
    length: fc.nat(100_000),
    byte: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 20 }), (commands) => {
      const storage = new MemoryStorage();
      const model = new Uint8Array(2 * MAX);
      let size = 0;
      for (const { kind, offset, length, byte } of commands) {
        if (kind === 'write') {
          storage.write(new Uint8Array(length).fill(byte), offset);
          model.fill(byte, offset, offset + length);
          size = length === 0 ? size : Math.max(size, offset + length);
        } else if (kind === 'zero') {
          storage.writeZeroes(offset, length);
          model.fill(0, offset, offset + length);
          size = Math.max(size, offset + length);
        } else if (kind === 'discard') {
          storage.discard(offset, length);
          model.fill(0, offset, offset + length);
        } else {
          storage.truncate(offset);
          model.fill(0, offset);
          size = offset;
        }
        size = Math.max(size, storage.size);
      }
      const actual = new Uint8Array(2 * MAX);
      storage.read(actual, 0);
      return storage.size === size && Buffer.compare(actual, model) === 0;
    }),
    { numRuns: 100 },
  );
  t.pass('100 random sequences');
});

t.test('is sparse, limited and protected', async (t) => {
  const storage = new MemoryStorage({ maxBytes: 1024 * 1024 });
  storage.truncate(2 ** 50);
  storage.write(new Uint8Array([1]), 2 ** 49);
  t.ok(storage.allocatedBytes <= 64 * 1024);
  t.same(storage.map(0, 2 ** 49), { kind: 'hole', length: 2 ** 49 });
  t.throws(() => storage.write(new Uint8Array(2 * 1024 * 1024).fill(1), 0), { code: 'NO_SPACE' });
  const sealed = MemoryStorage.from(new Uint8Array([1, 2]), { writable: false });
  t.throws(() => sealed.write(new Uint8Array(1), 0), { code: 'READ_ONLY' });
  await sealed.close();
  t.throws(() => sealed.read(new Uint8Array(1), 0), { code: 'CLOSED' });
});
