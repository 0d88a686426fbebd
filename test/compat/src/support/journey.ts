import { writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { type ImageSpec, qemuMakes, qemuOpens } from './image-spec.js';
import { type FilledBacking, initialContent, lamella, makeImage } from './make-image.js';
import { qemuCompare, qemuRead } from './qemu.js';
import { applyByQemu, applyHere, applyToBuffer, definedSteps, scatteredSteps } from './steps.js';
import type { Temp } from './temp.js';
import { assertSame, foreignFaults, foreignRead, readAll } from './verify.js';

/** An image to send back and forth. */
export interface Traveller {
  readonly spec: ImageSpec;
  readonly size: number;
  readonly backing?: FilledBacking | undefined;
}

/** Made and written by QEMU, read here, written here, read by QEMU, written by QEMU, read here. */
export async function fromQemu(t: Test, temp: Temp, traveller: Traveller): Promise<void> {
  const { spec, size, backing } = traveller;
  const path = temp.fresh(spec.format);
  const steps = (seed: number) => scatteredSteps(size, spec.clusterSize, seed);
  await makeImage(qemuMakes(spec) ? 'qemu' : 'here', spec, path, size, backing);
  const model = initialContent(size, backing);
  if (qemuOpens(spec)) {
    await applyByQemu(temp, path, spec.format, steps(1));
    model.set(await qemuRead(path, spec.format));
  }
  await readsHere(t, path, model, 'read here as QEMU reads it');

  await writeHere(path, traveller, steps(2));
  t.equal(await foreignFaults(spec, path), undefined, 'written here: no error, no leak');
  const found = await foreignRead(spec, path, backing?.bytes);
  await readsHere(t, path, found, 'written here: both read the same');
  applyToBuffer(model, steps(2));
  forgetDiscards(model, found, steps(2));
  assertSame(t, found, model, 'written here: what was written');

  if (qemuOpens(spec)) {
    await applyByQemu(temp, path, spec.format, definedSteps(steps(3)));
    applyToBuffer(model, steps(3));
    await readsHere(t, path, model, 'written by QEMU again, read here');
    t.equal(await foreignFaults(spec, path), undefined, 'written by both: no error, no leak');
  }
  temp.remove(path);
}

/** Made and written here, read and compared by QEMU, written by QEMU, read here, written here. */
export async function fromHere(t: Test, temp: Temp, traveller: Traveller): Promise<void> {
  const { spec, size, backing } = traveller;
  const path = temp.fresh(spec.format);
  const steps = (seed: number) => definedSteps(scatteredSteps(size, spec.clusterSize, seed));
  await makeImage('here', spec, path, size, backing);
  t.equal(await foreignFaults(spec, path), undefined, 'made here: no error, no leak');
  const model = initialContent(size, backing);
  assertSame(t, await foreignRead(spec, path, backing?.bytes), model, 'made here: its content');

  await writeHere(path, traveller, steps(4));
  applyToBuffer(model, steps(4));
  t.equal(await foreignFaults(spec, path), undefined, 'written here: no error, no leak');
  await comparesWithReference(t, temp, path, traveller, model);

  if (qemuOpens(spec)) {
    await applyByQemu(temp, path, spec.format, steps(5));
    applyToBuffer(model, steps(5));
    await readsHere(t, path, model, 'written by QEMU, read here');
    await writeHere(path, traveller, steps(6));
    applyToBuffer(model, steps(6));
    t.equal(await foreignFaults(spec, path), undefined, 'written by both: no error, no leak');
    await comparesWithReference(t, temp, path, traveller, model);
  }
  temp.remove(path);
}

async function writeHere(
  path: string,
  { spec }: Traveller,
  steps: ReturnType<typeof scatteredSteps>,
): Promise<void> {
  await using disk = await lamella.open(path, { writable: true, format: spec.format });
  await applyHere(disk, steps);
}

async function readsHere(
  t: Test,
  path: string,
  wanted: Uint8Array,
  message: string,
): Promise<void> {
  await using disk = await lamella.open(path);
  t.equal(disk.size, wanted.length, `${message}: size`);
  assertSame(t, await readAll(disk), wanted, message);
}

async function comparesWithReference(
  t: Test,
  temp: Temp,
  path: string,
  { spec, backing }: Traveller,
  model: Uint8Array,
): Promise<void> {
  if (qemuOpens(spec)) {
    const reference = temp.fresh('raw');
    writeFileSync(reference, model);
    const answer = await qemuCompare(path, spec.format, reference, 'raw');
    t.equal(answer, 'Images are identical.', 'qemu-img compare');
    temp.remove(reference);
  }
  assertSame(t, await foreignRead(spec, path, backing?.bytes), model, 'read by others');
}

/** A discarded byte is zero or what it was; takes over which, and leaves others for the comparison. */
function forgetDiscards(
  model: Uint8Array,
  found: Uint8Array,
  steps: ReturnType<typeof scatteredSteps>,
): void {
  for (const { kind, offset, length } of steps) {
    for (let i = offset; kind === 'discard' && i < offset + length; i += 1) {
      if (found[i] === 0) {
        model[i] = 0;
      }
    }
  }
}
