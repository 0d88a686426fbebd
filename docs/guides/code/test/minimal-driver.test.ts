import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { conformance } from '@lamella/driver-testkit';
import { Lamella } from 'lamella';
import t from 'tap';
import { MinimalDriver } from '../src/minimal-driver.js';
import { sampleImage } from './sample.js';

t.test('the minimal driver passes', (t) =>
  conformance(t, MinimalDriver, {
    abilities: { write: false, resize: false, check: false },
    samples: [
      { name: 'empty', make: () => sampleImage([]) },
      { name: 'out of order', make: () => sampleImage([3, 0, 2, 1, 5, 4]) },
    ],
  }),
);

t.test('a program with it', async (t) => {
  const folder = t.testdir();
  const location = join(folder, 'old.shelf');
  const copy = join(folder, 'new.qcow2');
  const { image, content } = sampleImage([3, 0, 2, 1, 5, 4]);
  await writeFile(location, image);

  // #region use
  const lamella = new Lamella().register(MinimalDriver);
  await using shelf = await lamella.open(location);
  const head = new Uint8Array(4096);
  await shelf.read(head, 0);
  await lamella.convert(location, copy, { format: 'qcow2' });
  // #endregion use

  t.equal(shelf.format, 'shelf');
  t.same(head, content.subarray(0, 4096));
  const { difference } = await lamella.compare(location, copy);
  t.equal(difference, 'none');
});
