import { paths } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';

const lamella = new Lamella();
const at = paths(t);
const LUKS = { 'encrypt.format': 'luks', 'encrypt.iter-time': 1 };
const M = 1024 * 1024;

const passphrases = async (location: string): Promise<string> =>
  location.includes('base') ? 'of the base' : 'of the other';

async function make(name: string, backing: string | undefined, options = {}): Promise<void> {
  await lamella.create(at(name), {
    format: 'qcow2',
    size: M,
    overwrite: true,
    passphrase: name.includes('base') ? 'of the base' : 'of the other',
    passphrases,
    options: { ...LUKS, ...options },
    ...(backing === undefined ? {} : { backing }),
  });
}

async function write(name: string, value: number, offset: number, length: number): Promise<void> {
  const disk = await lamella.open(at(name), { writable: true, passphrases });
  await disk.write(new Uint8Array(length).fill(value), offset);
  await disk.close();
}

async function contentOf(name: string): Promise<Uint8Array> {
  const disk = await lamella.open(at(name), { passphrases });
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  await disk.close();
  return bytes;
}

for (const options of [{}, { extended_l2: true, cluster_size: '16k' }, { compat: '0.10' }]) {
  t.test(`commit and rebase over encrypted images: ${JSON.stringify(options)}`, async (t) => {
    await make('base.qcow2', undefined, options);
    await write('base.qcow2', 1, 0, M);
    await make('top.qcow2', 'base.qcow2', options);
    await write('top.qcow2', 2, 100_000, 300_000);
    await write('top.qcow2', 3, M - 5000, 5000);
    const expected = await contentOf('top.qcow2');

    await make('other-base.qcow2', undefined, options);
    await write('other-base.qcow2', 9, 0, M / 2);
    const { copied } = await lamella.rebase(at('top.qcow2'), {
      backing: 'other-base.qcow2',
      passphrases,
    });
    t.ok(copied > 0);
    t.ok(
      Buffer.compare(await contentOf('top.qcow2'), expected) === 0,
      'reads the same over another base',
    );

    await lamella.commit(at('top.qcow2'), { passphrases });
    t.ok(Buffer.compare(await contentOf('other-base.qcow2'), expected) === 0, 'the base has it');
    t.ok(Buffer.compare(await contentOf('top.qcow2'), expected) === 0, 'the overlay shows it');

    await lamella.rebase(at('top.qcow2'), { backing: undefined, passphrases });
    t.ok(Buffer.compare(await contentOf('top.qcow2'), expected) === 0, 'it stands alone');
    await lamella.rebase(at('top.qcow2'), { backing: 'base.qcow2', unsafe: true, passphrases });
    t.ok(
      Buffer.compare(await contentOf('top.qcow2'), expected) === 0,
      'it needs nothing of a backing file',
    );
    for (const name of ['top.qcow2', 'base.qcow2', 'other-base.qcow2']) {
      const result = await lamella.check(at(name), {});
      t.match(result, { corruptions: 0, leaks: 0, checkErrors: 0 });
    }
  });
}

t.test('without the passphrase nothing happens', async (t) => {
  await make('base.qcow2', undefined);
  await make('top.qcow2', 'base.qcow2');
  await t.rejects(lamella.commit(at('top.qcow2'), {}), { code: 'PASSPHRASE_REQUIRED' });
  await t.rejects(lamella.rebase(at('top.qcow2'), { backing: undefined }), {
    code: 'PASSPHRASE_REQUIRED',
  });
});
