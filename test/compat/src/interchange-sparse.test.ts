import { open } from 'node:fs/promises';
import t from 'tap';
import { KIB, MIB, pattern } from './support/bytes.js';
import { type ImageSpec, qcow2, qed } from './support/image-spec.js';
import { lamella, makeImage } from './support/make-image.js';
import { needsQemu, qemuConvert } from './support/qemu.js';
import { applyByQemu, applyHere, type Step } from './support/steps.js';
import { Temp } from './support/temp.js';
import { assertSame, foreignFaults, readAt } from './support/verify.js';

/** Many L2 tables, refcount blocks and a tail; far too large to be looked at as a whole. */
const SIZE = 3000 * MIB + 3 * 512;
const SPECS: readonly ImageSpec[] = [
  qcow2(2, 4 * KIB),
  qcow2(3, 64 * KIB),
  qcow2(3, 2 * MIB),
  qed(4 * KIB, 4),
  qed(64 * KIB, 2),
];
const LENGTH = 70 * KIB;
/** Around each write this much more is compared. */
const MARGIN = 130 * KIB;

function steps(seed: number): readonly Step[] {
  return Array.from({ length: 12 }, (_, i) => {
    const offset = Math.min(SIZE - LENGTH, ((i * 2 + seed) * 137 * MIB + i * 512 * 77) % SIZE);
    const kind = i % 5 === 4 ? 'zero-unmap' : 'write';
    return { kind, offset, length: LENGTH, seed: seed * 50 + i } as const;
  });
}

for (const spec of SPECS) {
  t.test(`3 GB disk, ${spec.name}`, needsQemu, async (t) => {
    const temp = new Temp(t);
    const path = temp.fresh(spec.format);
    const last: Step = { kind: 'write', offset: SIZE - 512, length: 512, seed: 7 };
    const byQemu = [...steps(1), last];
    const here = steps(2);
    await makeImage('qemu', spec, path, SIZE);
    await applyByQemu(temp, path, spec.format, byQemu);
    {
      await using disk = await lamella.open(path, { writable: true });
      await applyHere(disk, here);
    }
    t.equal(await foreignFaults(spec, path), undefined, 'no error, no leak');
    const raw = temp.fresh('raw');
    await qemuConvert(path, spec.format, raw, 'raw');
    await using file = await open(raw);
    await using disk = await lamella.open(path);
    t.equal(disk.size, SIZE);
    for (const { offset } of [...byQemu, ...here]) {
      const start = Math.max(0, offset - MARGIN);
      const length = Math.min(LENGTH + 2 * MARGIN, SIZE - start);
      const wanted = new Uint8Array(length);
      await file.read(wanted, 0, length, start);
      assertSame(t, await readAt(disk, start, length), wanted, `around ${offset}`);
    }
    for (const { kind, offset, length, seed } of [...byQemu, ...here]) {
      const wanted = kind === 'write' ? pattern(seed, offset, length) : new Uint8Array(length);
      assertSame(t, await readAt(disk, offset, length), wanted, `what was written at ${offset}`);
    }
    let held = 0;
    for await (const extent of disk.extents()) {
      held += extent.kind === 'data' ? extent.length : 0;
      const near = [...byQemu, ...here].some(
        (step) => Math.abs(step.offset - extent.offset) < extent.length + LENGTH + spec.clusterSize,
      );
      t.ok(
        extent.kind !== 'data' || near,
        `data at ${extent.offset} is where something was written`,
      );
    }
    const most = (byQemu.length + here.length) * (LENGTH + 2 * spec.clusterSize);
    t.ok(held > 0 && held <= most, 'nothing else is held');
  });
}
