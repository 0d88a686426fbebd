import { PROBE_LENGTH } from '@lamella/core';
import { randomSource, sameBytes } from '../model/bytes.js';
import type { Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must } from './check.js';
import { FOREIGN_HEADS } from './foreign-heads.js';

const RANDOM_HEADS = 200;

/** How the driver judges heads. */
export function probeChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('probe');
  const driver = subject.driver();
  if (driver.probe === undefined) {
    return [];
  }
  const probe = (head: Uint8Array): number => {
    const score: unknown = driver.probe?.(head, 'memory:head');
    must(
      typeof score === 'number' && Number.isInteger(score) && score >= 0 && score <= 100,
      `the score is ${String(score)}`,
    );
    return score;
  };
  /** What a head scores that nobody knows. */
  const least = subject.manifest.takesAnything === true ? 1 : 0;
  for (const sample of subject.samples) {
    group.add('probe-1', `an image of its own: ${sample.name}`, async () => {
      const score = probe((await sample.get()).image.slice(0, PROBE_LENGTH));
      if (!(await subject.can('probe'))) {
        must(score <= least, `it scores ${score}, and the manifest says that nothing can be told`);
        return undefined;
      }
      must(score > 1 || (least === 1 && score === 1), `it scores ${score}`);
      return undefined;
    });
    group.add('probe-4', `cut heads: ${sample.name}`, async () => {
      const { image } = await sample.get();
      for (let length = 0; length <= Math.min(image.length, PROBE_LENGTH); length += 1) {
        probe(image.slice(0, length));
        length += length > 600 ? 96 : 0;
      }
    });
    group.add('probe-4', `damaged heads: ${sample.name}`, async () => {
      const { image } = await sample.get();
      const random = randomSource(subject.seed(`probe ${sample.name}`));
      for (let round = 0; round < RANDOM_HEADS; round += 1) {
        const head = image.slice(0, PROBE_LENGTH);
        for (let count = 0; count < 4; count += 1) {
          head[Math.floor(random() * Math.min(head.length, 128))] = Math.floor(random() * 256);
        }
        probe(head);
      }
    });
    group.add('probe-5', `asked twice: ${sample.name}`, async () => {
      const head = (await sample.get()).image.slice(0, PROBE_LENGTH);
      const before = head.slice();
      const scores = [probe(head), probe(head), subject.driver().probe?.(head, 'elsewhere')];
      must(sameBytes(head, before), 'the head was changed');
      must(new Set(scores).size === 1, `the scores are ${scores.join(', ')}`);
    });
  }
  group.add('probe-2', 'the score is there at once', async () => {
    probe(new Uint8Array(PROBE_LENGTH));
  });
  for (const { name, formats, bytes } of FOREIGN_HEADS) {
    if (!formats.includes(driver.format)) {
      group.add('probe-3', name, async () => {
        const score = probe(bytes.slice());
        must(score === least, `it scores ${score}`);
      });
      group.add('probe-4', `${name}, cut`, async () => {
        for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 63, 64, 65, 100, 511, 512, 513]) {
          probe(bytes.slice(0, length));
        }
      });
    }
  }
  group.add('probe-3', 'random bytes', async () => {
    const random = randomSource(subject.seed('random heads'));
    for (let round = 0; round < RANDOM_HEADS; round += 1) {
      const length = round % 2 === 0 ? PROBE_LENGTH : Math.floor(random() * PROBE_LENGTH);
      const score = probe(Uint8Array.from({ length }, () => random() * 256));
      must(score <= least, `random bytes score ${score}`);
    }
  });
  return group.checks;
}
