import { pattern, type SampleImage } from '@lamella/driver-testkit';

const CLUSTER = 4096;

// #region sample
/** An image made by the format's description and not by code of the driver: that both agree is what is tested. */
export function sampleImage(table: readonly number[]): SampleImage {
  const clusters = Math.max(1, ...table) + 1;
  const image = new Uint8Array(clusters * CLUSTER);
  const content = new Uint8Array(table.length * CLUSTER);
  const view = new DataView(image.buffer);
  image.set(new TextEncoder().encode('SHELF\x00\x00\x01'));
  view.setUint32(8, CLUSTER, true);
  view.setBigUint64(16, BigInt(content.length), true);
  view.setBigUint64(24, BigInt(CLUSTER), true);
  for (const [index, entry] of table.entries()) {
    view.setUint32(CLUSTER + index * 4, entry, true);
    if (entry > 1) {
      const bytes = pattern(entry, 0, CLUSTER);
      image.set(bytes, entry * CLUSTER);
      content.set(bytes, index * CLUSTER);
    }
  }
  return { image, content };
}
// #endregion sample
