import t from 'tap';
import { KIB, MIB } from './support/bytes.js';
import { extendedL2, type ImageSpec, qcow2, qed, RAW } from './support/image-spec.js';
import { lamella, type Maker, makeImage } from './support/make-image.js';
import { type Backing, needsQemu, qemuConvert, qemuRead } from './support/qemu.js';
import { applyByQemu, applyHere, scatteredSteps } from './support/steps.js';
import { Temp } from './support/temp.js';
import { assertSame, foreignFaults, readAll } from './support/verify.js';

/** From the bottom up: formats alternate, and layers are longer and shorter than what is below. */
const LAYERS: readonly { readonly spec: ImageSpec; readonly size: number }[] = [
  { spec: RAW, size: 2 * MIB + 512 },
  { spec: qcow2(3, 64 * KIB), size: 3 * MIB },
  { spec: qed(64 * KIB, 4), size: MIB + 512 * 7 },
  { spec: qcow2(2, 4 * KIB), size: 2 * MIB + 512 * 3 },
  { spec: qed(4 * KIB, 2), size: 4 * MIB + 512 },
  { spec: qcow2(3, 512), size: 2 * MIB },
  { spec: qed(16 * KIB, 2), size: 2 * MIB + 512 * 31 },
  { spec: extendedL2(16 * KIB), size: 5 * MIB + 512 * 9 },
  { spec: qed(64 * KIB, 2), size: 3 * MIB + 512 },
  { spec: qcow2(3, 4 * KIB), size: 6 * MIB + 512 * 5 },
];

/** Makes the chain, from the bottom up; each layer writes some stretches before it is covered. */
async function makeChain(temp: Temp, maker: (depth: number) => Maker): Promise<Backing[]> {
  const chain: Backing[] = [];
  for (const [i, { spec, size }] of LAYERS.entries()) {
    const path = temp.fresh(spec.format);
    const steps = scatteredSteps(size, 48 * KIB + i * 8 * KIB, i + 20);
    const by = maker(i);
    await makeImage(by, spec, path, size, chain.at(-1));
    if (by === 'qemu') {
      await applyByQemu(temp, path, spec.format, steps);
    } else {
      await using disk = await lamella.open(path, { writable: true, format: spec.format });
      await applyHere(disk, steps);
    }
    chain.push({ path, format: spec.format });
  }
  return chain;
}

const MAKERS: readonly (readonly [string, (depth: number) => Maker])[] = [
  ['made by QEMU', () => 'qemu'],
  ['made here', () => 'here'],
  ['made by both in turn', (depth) => (depth % 4 < 2 ? 'qemu' : 'here')],
];

for (const [name, maker] of MAKERS) {
  t.test(`ten layers, ${name}`, needsQemu, async (t) => {
    const temp = new Temp(t);
    const chain = await makeChain(temp, maker);
    t.equal(chain.length, 10);
    for (const [i, { path, format }] of chain.entries()) {
      const wanted = await qemuRead(path, format);
      // The raw base is named with its format: content is never trusted to tell it.
      await using disk = await lamella.open(path, { format });
      t.equal(disk.layers.length, i + 1, `layer ${i}: its chain`);
      t.equal(disk.size, wanted.length, `layer ${i}: size`);
      assertSame(t, await readAll(disk), wanted, `layer ${i}: read as QEMU reads it`);
      const spec = LAYERS[i]?.spec ?? RAW;
      t.equal(await foreignFaults(spec, path), undefined, `layer ${i}: no error, no leak`);
    }
  });
}

t.test('the top of a deep chain is written here and read by QEMU', needsQemu, async (t) => {
  const temp = new Temp(t);
  const top = (await makeChain(temp, () => 'qemu')).at(-1);
  if (top === undefined) {
    throw new Error('no chain');
  }
  {
    await using disk = await lamella.open(top.path, { writable: true });
    await applyHere(disk, scatteredSteps(disk.size, 4 * KIB, 77));
  }
  await using disk = await lamella.open(top.path);
  const here = await readAll(disk);
  assertSame(t, await qemuRead(top.path, top.format), here, 'both read the same');
  const flat = temp.fresh('qcow2');
  await qemuConvert(top.path, top.format, flat, 'qcow2', '-c');
  await using compressed = await lamella.open(flat);
  assertSame(t, await readAll(compressed), here, 'flattened and compressed by QEMU, read here');
});
