import { writeFileSync } from 'node:fs';
import t from 'tap';
import { KIB, MIB, pattern } from './support/bytes.js';
import { extendedL2, qcow2 } from './support/image-spec.js';
import { lamella } from './support/make-image.js';
import { needsQemu, qemuConvert, qemuRead } from './support/qemu.js';
import { applyByQemu, applyHere, scatteredSteps } from './support/steps.js';
import { Temp } from './support/temp.js';
import { assertSame, foreignFaults, readAll } from './support/verify.js';

const SPECS = [
  qcow2(2, 4 * KIB),
  qcow2(2, 64 * KIB),
  qcow2(3, 512),
  qcow2(3, 4 * KIB),
  qcow2(3, 64 * KIB),
  qcow2(3, 2 * MIB),
  extendedL2(64 * KIB),
];

/** A disk that compresses well in parts, badly in others, and is empty elsewhere. */
function content(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 96 * KIB) {
    const length = Math.min(64 * KIB, size - at);
    bytes.set(pattern(at % 7, at, length), at);
    bytes.fill(at % 251, at, at + length / 2);
  }
  return bytes;
}

for (const spec of SPECS) {
  t.test(`compressed ${spec.name}`, needsQemu, async (t) => {
    const temp = new Temp(t);
    const size = (spec.clusterSize > 64 * KIB ? 7 : 2) * MIB + 3 * 512;
    const raw = temp.fresh('raw');
    const path = temp.fresh('qcow2');
    const wanted = content(size);
    writeFileSync(raw, wanted);
    const options = Object.entries(spec.options).map(
      ([name, value]) => `${name}=${value === true ? 'on' : value}`,
    );
    await qemuConvert(raw, 'raw', path, 'qcow2', '-c', '-o', options.join(','));
    {
      await using disk = await lamella.open(path);
      const kinds = new Set<string>();
      for await (const { kind } of disk.extents()) {
        kinds.add(kind);
      }
      t.ok(kinds.has('compressed'), 'there are compressed clusters');
      assertSame(t, await readAll(disk), wanted, 'made by QEMU, read here');
    }
    await applyByQemu(temp, path, 'qcow2', scatteredSteps(size, spec.clusterSize, 50));
    {
      await using disk = await lamella.open(path, { writable: true });
      assertSame(t, await readAll(disk), await qemuRead(path, 'qcow2'), 'partly overwritten');
      await applyHere(disk, scatteredSteps(size, spec.clusterSize, 51));
    }
    await using disk = await lamella.open(path);
    t.equal(await foreignFaults(spec, path), undefined, 'overwritten here: no error, no leak');
    assertSame(t, await readAll(disk), await qemuRead(path, 'qcow2'), 'overwritten here');
  });
}
