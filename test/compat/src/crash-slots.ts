/** Bytes of one slot: no multiple of any block, so that slots share blocks and clusters. */
export const SLOT = 3000;

/** What a slot holds after a write: its number and a counter, over and over. */
export function stamp(slot: number, counter: number): Buffer {
  const bytes = Buffer.alloc(SLOT);
  for (let at = 0; at < SLOT; at += 8) {
    bytes.writeUInt32LE(slot, at);
    bytes.writeUInt32LE(counter, at + 4);
  }
  return bytes;
}

/** What is found in a slot of a disk after a crash, against what was said before it. */
export function judge(
  bytes: Buffer,
  slot: number,
  flushed: number,
  begun: ReadonlySet<number>,
): string | undefined {
  for (let at = 0; at < SLOT; at += 8) {
    const found = bytes.readUInt32LE(at + 4);
    const owner = bytes.readUInt32LE(at);
    if (found === 0 && owner === 0 && flushed === 0) {
      continue;
    }
    if (owner !== slot || found < flushed || !(found === flushed || begun.has(found))) {
      return `slot ${slot} byte ${at}: has ${found} of ${owner}, but ${flushed} was flushed`;
    }
  }
  return undefined;
}
