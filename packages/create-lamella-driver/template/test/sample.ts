import type { SampleImage } from '@lamella/driver-testkit';
import { pattern } from '@lamella/driver-testkit';

const BLOCK = 4096;
const HEADER_LENGTH = 16;

/** An image made by the description in the README, not by code of the driver: that both agree is what is tested. */
export function sampleImage(table: readonly number[]): SampleImage {
  const stored = Math.max(0, ...table);
  const dataOffset = Math.ceil((HEADER_LENGTH + table.length * 4) / BLOCK) * BLOCK;
  const image = new Uint8Array(dataOffset + stored * BLOCK);
  const content = new Uint8Array(table.length * BLOCK);
  const view = new DataView(image.buffer);
  image.set(new TextEncoder().encode('BLKLIST1'));
  view.setUint32(8, BLOCK, true);
  view.setUint32(12, table.length, true);
  for (const [block, entry] of table.entries()) {
    view.setUint32(HEADER_LENGTH + block * 4, entry, true);
    if (entry !== 0) {
      const bytes = pattern(entry, 0, BLOCK);
      image.set(bytes, dataOffset + (entry - 1) * BLOCK);
      content.set(bytes, block * BLOCK);
    }
  }
  return { image, content };
}
