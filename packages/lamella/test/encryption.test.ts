import { readFileSync } from 'node:fs';
import { paths } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';

const SIZE = 1024 * 1024;
const LUKS = { 'encrypt.format': 'luks', 'encrypt.iter-time': 1 };

t.test('a chain of encrypted images, each with a passphrase of its own', async (t) => {
  const at = paths(t);
  const lamella = new Lamella();
  await lamella.create(at('base.qcow2'), {
    format: 'qcow2',
    size: SIZE,
    options: LUKS,
    passphrase: 'of the base',
  });
  {
    await using base = await lamella.open(at('base.qcow2'), {
      writable: true,
      passphrase: 'of the base',
    });
    await base.write(new Uint8Array(SIZE).fill(0x42), 0);
    t.match(base.layers[0]?.options, { encrypted: true, 'encrypt.format': 'luks' });
  }
  const asked: string[] = [];
  const passphrases = async (location: string): Promise<string | undefined> => {
    asked.push(location);
    return location.endsWith('base.qcow2') ? 'of the base' : undefined;
  };
  const make = { format: 'qcow2', backing: 'base.qcow2', options: LUKS, passphrase: 'of the top' };
  await t.rejects(lamella.create(at('top.qcow2'), make), { code: 'PASSPHRASE_REQUIRED' });
  await lamella.create(at('top.qcow2'), { ...make, passphrases });
  t.strictSame(asked, [at('base.qcow2')]);

  await t.rejects(lamella.open(at('top.qcow2')), { code: 'PASSPHRASE_REQUIRED' });
  await t.rejects(lamella.open(at('top.qcow2'), { passphrases }), { code: 'PASSPHRASE_REQUIRED' });
  await t.rejects(lamella.open(at('top.qcow2'), { passphrase: 'of the base', passphrases }), {
    code: 'WRONG_PASSPHRASE',
  });
  await t.rejects(lamella.open(at('top.qcow2'), { passphrase: 'of the top' }), {
    code: 'PASSPHRASE_REQUIRED',
  });
  {
    await using disk = await lamella.open(at('top.qcow2'), {
      writable: true,
      passphrase: 'of the top',
      passphrases,
    });
    await disk.write(new Uint8Array(1000).fill(0x43), 70_000);
    const bytes = new Uint8Array(SIZE);
    await disk.read(bytes, 0);
    t.equal(bytes[69_999], 0x42);
    t.equal(bytes[70_000], 0x43);
    t.equal(bytes[70_999], 0x43);
    t.equal(bytes[71_000], 0x42);
    await using overlay = await lamella.overlay(disk);
    await overlay.write(Uint8Array.of(1), 3);
    await overlay.read(bytes, 0);
    t.strictSame([...bytes.subarray(2, 5)], [0x42, 1, 0x42]);
  }
  t.equal(readFileSync(at('top.qcow2')).indexOf(Buffer.alloc(16, 0x43)), -1);

  await using chain = await lamella.compose([
    { location: at('top.qcow2'), passphrase: 'of the top' },
    { location: at('base.qcow2'), passphrase: 'of the base' },
  ]);
  const byte = new Uint8Array(1);
  await chain.read(byte, 70_500);
  t.equal(byte[0], 0x43);
  await using made = await lamella.compose([
    {
      location: at('made.qcow2'),
      format: 'qcow2',
      create: true,
      options: LUKS,
      passphrase: 'of a third',
    },
    { location: at('base.qcow2'), passphrase: 'of the base' },
  ]);
  await made.write(byte, 0);
  await made.read(byte, 1);
  t.equal(byte[0], 0x42);
});

t.test(
  'a passphrase without encryption is refused on making an image, and of no effect on opening',
  async (t) => {
    const at = paths(t);
    const lamella = new Lamella();
    await lamella.create(at('plain.qcow2'), { format: 'qcow2', size: SIZE });
    await t.rejects(
      lamella.create(at('other.qcow2'), { format: 'qcow2', size: SIZE, passphrase: 'word' }),
      { code: 'INVALID_ARGUMENT' },
    );
    await using disk = await lamella.open(at('plain.qcow2'), { passphrase: 'word' });
    t.equal(disk.layers[0]?.options.encrypted, undefined);
  },
);
