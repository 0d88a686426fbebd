import fc from 'fast-check';
import { type Disk, isLamellaError, Lamella, STORAGE_DRIVER } from 'lamella';
import t from 'tap';
import {
  type Edit,
  edited,
  QCOW2,
  QED,
  qcow2Pointer,
  readBe64,
  readLe64,
} from './support/edits.js';
import { golden } from './support/golden.js';
import { MemoryDriver } from './support/memory-driver.js';

const NUM_RUNS = 60;
/** No disk of the golden images is larger; a damaged size may be, and is not read to its end. */
const MOST_READ = 256 * 1024;
const LOCATION = 'mem:image';

const storages = new MemoryDriver(16 * 1024 * 1024);
const lamella = new Lamella();
lamella.container.register(STORAGE_DRIVER, { useValue: storages });
t.teardown(() => storages.abandon());

interface Area {
  readonly start: number;
  readonly length: number;
}

/** The parts of an image where damage does most harm. */
function metadata(image: Uint8Array): Area[] {
  if (image[0] === 0x51 && image[1] === 0x45) {
    const l1 = readLe64(image, QED.l1Offset);
    return [
      { start: 0, length: 64 },
      { start: l1, length: 16 },
      { start: readLe64(image, l1), length: 264 },
    ];
  }
  const l1 = readBe64(image, QCOW2.l1Offset);
  const refcountTable = readBe64(image, QCOW2.refcountTableOffset);
  const snapshots = readBe64(image, QCOW2.snapshotsOffset);
  return [
    { start: 0, length: 120 },
    { start: 112, length: 64 },
    { start: l1, length: 32 },
    { start: qcow2Pointer(image, l1), length: 320 },
    { start: refcountTable, length: 16 },
    { start: readBe64(image, refcountTable), length: 128 },
    { start: snapshots, length: snapshots === 0 ? 8 : 96 },
  ];
}

/** Values that numbers of an image are likely to break on, as bytes. */
const nasty = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 8 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0),
      new Uint8Array(8).fill(0xff),
      Uint8Array.of(0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
      Uint8Array.of(0, 0x20, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(0x80, 0, 0, 0, 0, 0, 2, 0),
      Uint8Array.of(0x40, 0, 0, 0, 0, 0, 2, 0),
    ),
  },
);

function damage(image: Uint8Array): fc.Arbitrary<readonly Edit[]> {
  const anywhere = { start: 0, length: image.length };
  const place = fc
    .constantFrom(...metadata(image), anywhere)
    .chain(({ start, length }) => fc.nat(length - 1).map((offset) => start + offset));
  const overwrite = fc.tuple(place, nasty).map(([at, bytes]) => ({ at, bytes }));
  const flip = fc.tuple(place, fc.nat(7)).map(([at, bit]) => ({
    at,
    bytes: Uint8Array.of((image[at] ?? 0) ^ (1 << bit)),
  }));
  // Entries are 8 bytes: whole ones give valid-looking pointers to wrong places far more often.
  const entry = fc
    .tuple(place, fc.nat(image.length / 512), fc.constantFrom(0, 0x40, 0x80))
    .map(([at, sector, flags]) => {
      const bytes = new Uint8Array(8);
      const little = image[1] === 0x45;
      new DataView(bytes.buffer).setBigUint64(0, BigInt(sector * 512), little);
      bytes[little ? 7 : 0] = flags;
      return { at: at - (at % 8), bytes };
    });
  return fc.array(fc.oneof(overwrite, flip, entry), { minLength: 1, maxLength: 4 });
}

/** Damage that was once found to hang an allocation: the first two entries of v2's refcount table. */
const KNOWN: [readonly Edit[]][] = [
  [[{ at: 512, bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1) }]],
];

/** Whatever happens must be a LamellaError with a message; gives the code. */
async function tolerated(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
    return 'ok';
  } catch (error) {
    if (isLamellaError(error)) {
      return error.code;
    }
    throw error;
  }
}

async function readThrough(disk: Disk): Promise<void> {
  const end = Math.min(disk.size, MOST_READ);
  for (let offset = 0; offset < end; offset += 16_384) {
    await tolerated(() => disk.read(new Uint8Array(Math.min(16_384, end - offset)), offset));
  }
  if (disk.size > 0) {
    await tolerated(() => disk.read(new Uint8Array(1), disk.size - 1));
  }
  await tolerated(async () => {
    let steps = 0;
    for await (const { length } of disk.extents()) {
      steps += 1;
      if (length <= 0 || steps > 5000) {
        break;
      }
    }
  });
}

async function writeAbout(disk: Disk): Promise<void> {
  const { size } = disk;
  const at = (part: number) => Math.floor((size * part) / 512) * 512;
  const most = Math.min(size, 20_000);
  const requests = [
    () => disk.write(new Uint8Array(most).fill(0xc1), 0),
    () => disk.write(new Uint8Array(Math.min(700, most)).fill(0xc2), at(0.4)),
    () => disk.writeZeroes(at(0.1), Math.min(size - at(0.1), 40_000)),
    () => disk.discard(at(0.6), Math.min(size - at(0.6), 40_000)),
    () => disk.write(new Uint8Array(Math.min(size, 512)).fill(0xc3), size - Math.min(size, 512)),
  ];
  await Promise.all(requests.map(tolerated));
  await tolerated(() => disk.flush());
  await tolerated(() => disk.write(new Uint8Array(Math.min(100, most)).fill(0xc4), 0));
  await readThrough(disk);
}

async function survives(image: Uint8Array, writable: boolean): Promise<string> {
  // What an earlier failure left open must not hide the next one from the shrinking.
  storages.abandon();
  storages.put(LOCATION, image);
  const outcome = await tolerated(async () => {
    const disk = await lamella.open(LOCATION, { writable, references: 'deny' });
    await readThrough(disk);
    if (writable) {
      await writeAbout(disk);
    }
    await tolerated(() => disk.close());
  });
  if (storages.unclosed > 0) {
    throw new Error(`a storage stays open after ${outcome}`);
  }
  return outcome;
}

for (const name of [
  'v2.qcow2',
  'v3.qcow2',
  'extended.qcow2',
  'compressed.qcow2',
  'snapshot.qcow2',
  'plain.qed',
]) {
  t.test(`${name}, damaged, works or ends with a LamellaError`, async (t) => {
    const image = golden(name);
    t.equal(await survives(image, true), 'ok', 'undamaged it works');
    const outcomes = new Map<string, number>();
    const seed = Number(process.env.LAMELLA_FUZZ_SEED ?? Date.now() % 0x7fff_ffff);
    t.comment(`seed ${seed}`);
    await fc.assert(
      fc.asyncProperty(damage(image), async (edits) => {
        const damaged = edited(image, ...edits).slice(0, image.length);
        for (const writable of [false, true]) {
          const outcome = await survives(damaged, writable);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
      }),
      {
        numRuns: Number(process.env.LAMELLA_FUZZ_RUNS ?? NUM_RUNS),
        seed,
        timeout: 5_000,
        examples: name === 'v2.qcow2' ? KNOWN : [],
      },
    );
    t.comment([...outcomes].map(([code, count]) => `${code}: ${count}`).join(', '));
    t.ok(outcomes.size > 1, 'the damage was enough to be noticed at times');
  });
}
