import { copyFileSync } from 'node:fs';
import { type Change, DiskModel } from '@lamella/driver-testkit';
import type { Disk } from 'lamella';
import { firstDifference, pattern } from './bytes.js';
import type { ImageSpec } from './image-spec.js';
import { type FilledBacking, initialContent, lamella, makeImage } from './make-image.js';
import type { Batch, Life, Request } from './requests.js';
import type { Temp } from './temp.js';
import { foreignFaults, foreignRead, readAt } from './verify.js';

/** What kind of disk lives. */
export interface Subject {
  readonly spec: ImageSpec;
  readonly size: number;
  readonly backing: FilledBacking | undefined;
  /** An empty image like this that QEMU made. */
  readonly template: string;
}

/**
 * Lets a disk live through batches of requests beside a plain buffer.
 *
 * @throws Error at the first byte that neither was there before nor was written, or when the image has
 * errors or leaks, or reads differently elsewhere, at the end
 */
export async function live(temp: Temp, subject: Subject, life: Life): Promise<void> {
  const { spec, size, backing, template } = subject;
  const path = temp.fresh(spec.format);
  if (life.madeBy === 'qemu') {
    copyFileSync(template, path);
  } else {
    await makeImage('here', spec, path, size, backing);
  }
  const open = (): Promise<Disk> =>
    lamella.open(path, { writable: true, format: spec.format, cacheSize: life.cacheSize });
  const model = new DiskModel(initialContent(size, backing));
  let disk = await open();
  try {
    for (const batch of life.batches) {
      disk = await play(disk, batch, model, open);
    }
    const all = await readAt(disk, 0, size);
    assertEqual(all, model.bytes, 'read at the end');
  } finally {
    await disk.close();
  }
  const found = await foreignFaults(spec, path);
  if (found !== undefined) {
    throw new Error(`check: ${found}`);
  }
  assertEqual(await foreignRead(spec, path, backing?.bytes), model.bytes, 'read by others');
  temp.remove(path);
}

async function play(
  disk: Disk,
  batch: Batch,
  model: DiskModel,
  open: () => Promise<Disk>,
): Promise<Disk> {
  const changes = batch.requests.flatMap(changeOf);
  const results = batch.requests.map((request) => start(disk, request, changes));
  const closing = batch.then === 'close' ? disk.close() : undefined;
  const outcomes = await Promise.allSettled([...results, closing]);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') {
      throw outcome.reason;
    }
  }
  for (const result of results) {
    (await result)(model);
  }
  if (batch.then === 'flush') {
    await disk.flush();
  } else if (batch.then === 'reopen') {
    await disk.close();
  }
  const next = batch.then === 'reopen' || batch.then === 'close' ? await open() : disk;
  try {
    await model.settle(changes, (offset, length) => readAt(next, offset, length));
  } catch (error) {
    await next.close();
    throw error;
  }
  return next;
}

/** Starts a request; the result checks what it read. */
async function start(
  disk: Disk,
  { kind, offset, length, seed }: Request,
  changes: readonly Change[],
): Promise<(model: DiskModel) => void> {
  switch (kind) {
    case 'read': {
      const found = await readAt(disk, offset, length);
      return (model) => model.checkRead(offset, found, changes);
    }
    case 'write':
      await disk.write(pattern(seed, offset, length), offset);
      break;
    case 'zero':
    case 'zero-keep':
      await disk.writeZeroes(offset, length, { unmap: kind === 'zero' });
      break;
    case 'discard':
      await disk.discard(offset, length);
      break;
    case 'flush':
      await disk.flush();
      break;
  }
  return () => undefined;
}

function changeOf({ kind, offset, length, seed }: Request): readonly Change[] {
  switch (kind) {
    case 'write':
      return [{ kind, offset, length, bytes: pattern(seed, offset, length) }];
    case 'zero':
    case 'zero-keep':
      return [{ kind: 'zero', offset, length }];
    case 'discard':
      return [{ kind, offset, length }];
    case 'read':
    case 'flush':
      return [];
  }
}

function assertEqual(found: Uint8Array, wanted: Uint8Array, context: string): void {
  const difference = firstDifference(found, wanted);
  if (difference !== undefined) {
    throw new Error(`${context}: ${difference}`);
  }
}
