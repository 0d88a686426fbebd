import { writeFileSync } from 'node:fs';
import { paths } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';

const at = paths(t);
const lamella = new Lamella();
const QCOW2 = Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.from([0, 0, 0, 3])]);
const QED = Buffer.from('QED\0');

t.test('a raw image that was only recognised takes no foreign header', async (t) => {
  writeFileSync(at('a.img'), Buffer.alloc(65536));
  const disk = await lamella.open(at('a.img'), { writable: true });
  t.equal(disk.format, 'raw');
  for (const [header, name] of [
    [QCOW2, /look like qcow2/],
    [QED, /look like qed/],
  ] as const) {
    await t.rejects(disk.write(header, 0), { code: 'FORMAT_CHANGE', message: name });
  }
  await disk.write(QCOW2, 8192);
  await disk.write(Buffer.from('EFI PART'), 512);
  await disk.close();
  const named = await lamella.open(at('a.img'), { format: 'raw', writable: true });
  await named.write(QED, 0);
  await named.close();
});

t.test('a json: name that gives the driver counts as named', async (t) => {
  writeFileSync(at('b.img'), Buffer.alloc(65536));
  const name = JSON.stringify({
    driver: 'raw',
    offset: 1024,
    size: 2048,
    file: { driver: 'file', filename: at('b.img') },
  });
  const disk = await lamella.open(`json:${name}`, { writable: true });
  t.equal(disk.size, 2048);
  await disk.write(QED, 0);
  await disk.close();
});
