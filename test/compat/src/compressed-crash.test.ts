import { writeFileSync } from 'node:fs';
import { CrashStorage, LastingStorage, storageContent, Timeline } from '@lamella/driver-testkit';
import { ChainResolver, Disk, ImageCreator, Lamella, MemoryStorage } from 'lamella';
import t from 'tap';
import { KIB, randomSource } from './support/bytes.js';
import { contentOf } from './support/mixed-content.js';
import { needsQemu, type Options, qemuCheck } from './support/qemu.js';
import { Temp } from './support/temp.js';

const CLUSTERS = 40;
const BATCHES = 16;
const LIVES = 6;
const CRASHES = 8;
const SECTOR = 512;
const soak = Number(process.env.LAMELLA_SOAK ?? '1');
const firstSeed = Number(process.env.LAMELLA_SEED ?? Date.now() % 2 ** 31);
const lamella = new Lamella();

const SPECS: readonly Options[] = [
  { cluster_size: 4 * KIB, compression_type: 'zlib' },
  { cluster_size: 16 * KIB, compression_type: 'zstd' },
  { cluster_size: 16 * KIB, compression_type: 'zstd', extended_l2: true },
  { cluster_size: 4 * KIB, refcount_bits: 1 },
];

/** A change of one cluster; a discard has no content, and may leave what was there or zeroes. */
interface Change {
  readonly began: number;
  ended: number;
  readonly content: Uint8Array | undefined;
}

/** What was done to a disk and when. */
class Recording {
  readonly timeline = new Timeline();
  readonly changes = Array.from({ length: CLUSTERS }, (): Change[] => []);
  readonly flushes: { readonly began: number; readonly ended: number }[] = [];

  async change(cluster: number, content: Uint8Array | undefined, work: () => Promise<void>) {
    const change = { began: this.timeline.tick(), ended: Number.POSITIVE_INFINITY, content };
    this.changes[cluster]?.push(change);
    await work();
    change.ended = this.timeline.tick();
  }

  async flush(work: () => Promise<void>): Promise<void> {
    const began = this.timeline.tick();
    await work();
    this.flushes.push({ began, ended: this.timeline.tick() });
  }

  /** What a cluster may hold after a crash, sector by sector: any of these. */
  allowed(cluster: number, moment: number, unit: number): Uint8Array[] {
    const until = Math.max(
      -1,
      ...this.flushes.filter(({ ended }) => ended <= moment).map(({ began }) => began),
    );
    const zeroes = new Uint8Array(unit);
    const all = this.changes[cluster] ?? [];
    const durable = all.filter(({ ended }) => ended < until);
    const last = durable.findLastIndex(({ content }) => content !== undefined);
    const contents = [last < 0 ? zeroes : (durable[last]?.content ?? zeroes)];
    const later = all.filter(({ began, ended }) => ended >= until && began <= moment);
    for (const { content } of [...durable.slice(last + 1), ...later]) {
      contents.push(content ?? zeroes);
    }
    return contents;
  }
}

async function record(options: Options, random: () => number) {
  const unit = Number(options.cluster_size);
  const empty = new MemoryStorage();
  const creator = lamella.container.resolve(ImageCreator);
  await creator.createIn(empty, 'qcow2', unit * CLUSTERS, options);
  const recording = new Recording();
  const storage = CrashStorage.from(await storageContent(empty), {
    timeline: recording.timeline,
    delay: () => Math.floor(random() * 4),
  });
  const layer = await lamella.container
    .resolve(ChainResolver)
    .openIn(new LastingStorage(storage), { format: 'qcow2' }, { writable: true });
  const disk = new Disk([layer]);
  let version = 0;
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const work: Promise<void>[] = [];
    for (let cluster = Math.floor(random() * 8); cluster < CLUSTERS; ) {
      const offset = cluster * unit;
      if (random() < 0.15) {
        work.push(recording.change(cluster, undefined, () => disk.discard(offset, unit)));
      } else {
        version += 1;
        const content = contentOf(random() < 0.1 ? 'random' : 'text', version, unit);
        const plain = random() < 0.15;
        work.push(
          recording.change(cluster, content, () =>
            plain ? disk.write(content, offset) : disk.writeCompressed(content, offset),
          ),
        );
      }
      cluster += 1 + Math.floor(random() * 12);
    }
    if (random() < 0.3) {
      work.push(recording.flush(() => disk.flush()));
    }
    await Promise.all(work);
    if (random() < 0.3) {
      await recording.flush(() => disk.flush());
    }
  }
  await recording.flush(() => disk.close());
  return { recording, storage, unit };
}

/** Reads what a crash left; describes the first sector that holds what was never written to it. */
async function wrongSector(
  state: MemoryStorage,
  recording: Recording,
  moment: number,
  unit: number,
) {
  const layer = await lamella.container
    .resolve(ChainResolver)
    .openIn(state, { format: 'qcow2' }, { writable: false });
  await using disk = new Disk([layer]);
  const found = Buffer.alloc(unit);
  for (let cluster = 0; cluster < CLUSTERS; cluster += 1) {
    await disk.read(found, cluster * unit);
    const allowed = recording.allowed(cluster, moment, unit);
    for (let at = 0; at < unit; at += SECTOR) {
      const sector = found.subarray(at, at + SECTOR);
      if (!allowed.some((content) => sector.equals(content.subarray(at, at + SECTOR)))) {
        return `cluster ${cluster}, byte ${at}`;
      }
    }
  }
  return undefined;
}

for (const options of SPECS) {
  const name = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  t.test(`a crash leaks at most: ${name.join(',')}`, needsQemu, async (t) => {
    const path = new Temp(t).file('crashed.qcow2');
    for (let life = 0; life < LIVES * soak; life += 1) {
      const random = randomSource((firstSeed + life * 104_729) | 0);
      const { recording, storage, unit } = await record(options, random);
      for (let crash = 0; crash < CRASHES; crash += 1) {
        const moment = Math.floor(random() * (recording.timeline.now + 1));
        const where = `LAMELLA_SEED=${firstSeed}, life ${life}, moment ${moment}`;
        const state = storage.afterCrash(moment, random);
        writeFileSync(path, await storageContent(state));
        const { corruptions, checkErrors } = await qemuCheck(path, 'qcow2');
        const wrong = await wrongSector(state, recording, moment, unit);
        if (corruptions + checkErrors > 0 || wrong !== undefined) {
          t.fail(`${where}: ${corruptions} corruptions, ${checkErrors} errors; ${wrong}`);
          return;
        }
      }
    }
    t.pass(`seed ${firstSeed}`);
  });
}
