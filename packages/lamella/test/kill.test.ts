import { outcome, paths } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';
import { type LastWords, writeUntilKilled } from './kill/victim.js';
import { contentOf, type Kind, MIB, make, RAW } from './support/chains.js';
import { randoms } from './support/files.js';
import { skipWithoutQemu } from './support/qemu.js';

/** How often a writer of each kind is killed; `npm run soak:kill` asks for 200. */
const ROUNDS = Number(process.env.LAMELLA_KILL_ROUNDS ?? 7);
const SIZE = 9 * MIB;
const lamella = new Lamella();
const at = paths(t);

const SUBJECTS: readonly Kind[] = [
  RAW,
  { name: 'qed, small', format: 'qed', options: { cluster_size: 4096, table_size: 2 } },
  { name: 'qed, default', format: 'qed', options: {} },
];

/** Adds what was promised; marks what may be either way, as -1. */
function expect(content: Int16Array, { flushed, begun }: LastWords): void {
  for (const batch of flushed) {
    const ordered = batch.slice(0, 3);
    const together = batch.slice(3);
    for (const { offset, length, value } of ordered) {
      content.fill(value, offset, offset + length);
    }
    for (const { offset, length, value } of together) {
      content.fill(value, offset, offset + length);
    }
    // Where writes of one moment overlap, either may have come last.
    for (const [index, a] of together.entries()) {
      for (const b of together.slice(index + 1)) {
        const start = Math.max(a.offset, b.offset);
        content.fill(
          -1,
          start,
          Math.max(start, Math.min(a.offset + a.length, b.offset + b.length)),
        );
      }
    }
  }
  for (const { offset, length } of begun) {
    content.fill(-1, offset, offset + length);
  }
}

/** First byte that is not as promised. What may be either way is taken as it is from now on. */
function firstLoss(content: Int16Array, found: Uint8Array): number | undefined {
  for (let offset = 0; offset < found.length; offset += 1) {
    const byte = found[offset] ?? 0;
    if (content[offset] === -1) {
      content[offset] = byte;
    } else if (content[offset] !== byte) {
      return offset;
    }
  }
  return undefined;
}

for (const [number, kind] of SUBJECTS.entries()) {
  t.test(
    `killed ${ROUNDS} times: ${kind.name}`,
    { ...skipWithoutQemu, timeout: 3_600_000 },
    async (t) => {
      const path = at(`${number}.img`);
      const random = randoms(number + 1);
      const content = new Int16Array(SIZE);
      await make(lamella, path, kind, SIZE);
      let flushes = 0;
      let unclean = 0;
      let leaks = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        if (round % 10 === 9) {
          await make(lamella, path, kind, SIZE);
          content.fill(0);
        }
        // Every third time the next writer finds the image as the one before it left it.
        for (let kills = round % 3 === 2 ? 2 : 1; kills > 0; kills -= 1) {
          const seed = 2 * round + kills;
          const words = await writeUntilKilled(path, kind.format, seed, random() * 60);
          t.equal(words.complaints, '', 'the writer had nothing to complain about');
          flushes += words.flushed.length;
          expect(content, words);
        }
        const left = await lamella.open(path, { format: kind.format });
        unclean += left.layers[0]?.options.need_check === true ? 1 : 0;
        await left.close();
        if (kind.format !== 'raw') {
          // QED has no record of free clusters: what writes under way had taken is leaked until then.
          const result = await lamella.check(path);
          leaks += result.leaks;
          t.match(result, { corruptions: 0, checkErrors: 0 }, `round ${round}: before a repair`);
          const { status } = outcome('qemu-img', ['check', '-f', kind.format, path]);
          t.equal(status, result.leaks === 0 ? 0 : 3, 'and qemu-img agrees');
        }
        const readOnly = await contentOf(lamella, path, kind.format);
        // Opening for writing repairs; what it repairs must not be anything that was promised.
        const disk = await lamella.open(path, { format: kind.format, writable: true });
        await disk.close();
        const found = await contentOf(lamella, path, kind.format);
        t.equal(Buffer.compare(found, readOnly), 0, 'a repair changes no content');
        t.equal(firstLoss(content, found), undefined, `round ${round}: nothing flushed is lost`);
        if (kind.format !== 'raw') {
          const result = await lamella.check(path);
          t.match(result, { corruptions: 0, leaks: 0, checkErrors: 0 }, `round ${round}: check`);
          const { status, stdout } = outcome('qemu-img', ['check', '-f', kind.format, path]);
          t.equal(status, 0, `and qemu-img agrees: ${stdout}`);
        }
      }
      t.ok(flushes >= ROUNDS);
      t.comment(
        `${ROUNDS} kills, ${flushes} flushes, ${unclean} images left unclean, ${leaks} leaks before, none after`,
      );
    },
  );
}
