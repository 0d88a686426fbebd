import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CheckResult, isLamellaError, MemoryStorage, type RepairMode } from '@lamella/core';
import type { Test } from 'tap';
import { BaseImages } from './base-images.js';
import type { Damage } from './damage.js';
import { driver } from './disks.js';
import { Editable } from './editable.js';
import { qemuCheck, qemuContent, saveFile } from './qemu.js';
import { qemuVerdict, type Verdict } from './qemu-check.js';

/** A check that takes longer has lost its way, in milliseconds. */
const PATIENCE = 10_000;

/** Checks and repairs every damaged image with qemu-img and with us. */
export async function compareAll(
  t: Test,
  directory: string,
  damages: readonly Damage[],
): Promise<void> {
  const bases = new BaseImages(directory);
  for (const damage of damages) {
    await t.test(`${damage.base}: ${damage.name}`, async (t) => {
      const image = new Editable(bases.get(damage.base));
      damage.apply(image);
      for (const repair of ['none', 'leaks', 'all'] as const) {
        await new Comparison(t, directory, damage, repair).run(image.bytes);
      }
    });
  }
}

/** What our check says, or the error that the image can't be opened. */
async function ourVerdict(storage: MemoryStorage, repair: RepairMode) {
  try {
    const image = await driver.open(storage, { writable: repair !== 'none', forCheck: true });
    const result = await image.check?.({ repair });
    await image.close();
    return { result };
  } catch (error) {
    return { error };
  }
}

class Comparison {
  readonly #t: Test;
  readonly #theirs: string;
  readonly #ours: string;
  readonly #damage: Damage;
  readonly #repair: RepairMode;

  constructor(t: Test, directory: string, damage: Damage, repair: RepairMode) {
    this.#t = t;
    this.#theirs = join(directory, 'theirs.qcow2');
    this.#ours = join(directory, 'ours.qcow2');
    this.#damage = damage;
    this.#repair = repair;
  }

  async run(damaged: Buffer): Promise<void> {
    const storage = MemoryStorage.from(damaged, { location: 'damaged.qcow2' });
    const start = performance.now();
    const { result, error } = await ourVerdict(storage, this.#repair);
    this.#t.ok(performance.now() - start < PATIENCE, `${this.#repair}: does not hang`);
    writeFileSync(this.#theirs, damaged);
    const { verdict, text } = qemuVerdict(this.#theirs, this.#repair);
    if (this.#repair === 'none') {
      await saveFile(storage, this.#ours);
      this.#t.ok(readFileSync(this.#ours).equals(damaged), 'none: nothing is written');
    }
    if (verdict === undefined) {
      await this.#withoutVerdict(storage, result, error);
    } else if (result === undefined) {
      this.#t.fail(`${this.#repair}: ${error}, but qemu-img: ${text}`);
    } else if (this.#damage.known?.[this.#repair] === undefined) {
      this.#t.match(
        result,
        verdict,
        `${this.#repair}: same counts; qemu-img: ${text.slice(0, 500)}`,
      );
      await this.#afterwards(storage, result);
    } else {
      await this.#asKnown(storage, result, verdict);
    }
  }

  /** Where QEMU gives up, we give a typed error or a result, and what we call clean is clean. */
  async #withoutVerdict(
    storage: MemoryStorage,
    result: CheckResult | undefined,
    error: unknown,
  ): Promise<void> {
    if (result === undefined) {
      this.#t.ok(isLamellaError(error), `${this.#repair}: typed error: ${error}`);
      return;
    }
    const { corruptions, leaks, checkErrors } = result;
    this.#t.ok(corruptions + leaks + checkErrors > 0 || this.#repair === 'all', 'damage is found');
    if (corruptions + leaks + checkErrors === 0) {
      await saveFile(storage, this.#ours);
      const { code, text } = qemuCheck(this.#ours);
      this.#t.equal(code, 0, `${this.#repair}: QEMU agrees that it is mended: ${text}`);
    }
  }

  /** Our repair leaves an image that is as sound as the one that QEMU leaves, with the same content. */
  async #afterwards(storage: MemoryStorage, result: CheckResult): Promise<void> {
    if (this.#repair === 'none') {
      return;
    }
    await saveFile(storage, this.#ours);
    const ours = qemuVerdict(this.#ours, 'none').verdict;
    const left = { ...result, corruptionsFixed: 0, leaksFixed: 0, findings: [] };
    this.#t.match(left, ours, `${this.#repair}: QEMU finds what we say is left`);
    // QEMU stores bitmaps anew when it closes an image that it opened for writing.
    if (this.#damage.base !== 'bitmaps') {
      const theirs = qemuVerdict(this.#theirs, 'none').verdict;
      this.#t.match(ours, theirs, `${this.#repair}: QEMU finds the same as after its own repair`);
    }
    if (this.#repair === 'all') {
      const content = tryContent(this.#theirs);
      if (content !== undefined) {
        const own = tryContent(this.#ours) ?? new Uint8Array();
        this.#t.ok(Buffer.compare(own, content) === 0, 'all: same content as after QEMU');
      }
    }
  }

  /** A difference that we chose: no more than these counts differ, and QEMU finds the image clean. */
  async #asKnown(storage: MemoryStorage, result: CheckResult, verdict: Verdict): Promise<void> {
    const { corruptions, leaks, checkErrors, totalClusters, allocatedClusters } = verdict;
    this.#t.match(
      result,
      { corruptions, leaks, checkErrors, totalClusters, allocatedClusters },
      `${this.#repair}: same but for a known difference: ${this.#damage.known?.[this.#repair]}`,
    );
    await saveFile(storage, this.#ours);
    this.#t.equal(qemuCheck(this.#ours).code, 0, 'QEMU finds it clean');
  }
}

/** The disk as QEMU reads it, where it can. */
function tryContent(path: string): Uint8Array | undefined {
  try {
    return qemuContent(path);
  } catch {
    rmSync(`${path}.raw`, { force: true });
    return undefined;
  }
}
