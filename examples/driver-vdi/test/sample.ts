import { pattern, type SampleImage } from '@lamella/driver-testkit';

const MAP_OFFSET = 0x200;
/** What an entry of the block map may say beside the number of a stored block. */
export const NEVER_WRITTEN = 0xffffffff;
/** The block is all zeroes. */
export const ZERO = 0xfffffffe;

/** Header fields by their offset in the file, with four bytes each. */
export const FIELD = {
  signature: 0x40,
  version: 0x44,
  headerLength: 0x48,
  type: 0x4c,
  mapOffset: 0x154,
  dataOffset: 0x158,
  size: 0x170,
  sizeHigh: 0x174,
  blockSize: 0x178,
  blockExtra: 0x17c,
  blocks: 0x180,
  storedBlocks: 0x184,
  parent: 0x1a8,
} as const;

/** What image to build. */
export interface SampleOptions {
  /** An entry for each block of the disk. */
  readonly map: readonly number[];
  readonly blockSize?: number;
  /** Bytes of the disk; all of its blocks by default. */
  readonly size?: number;
  readonly type?: number;
}

/** An image made by the description in the README, not by code of the driver: that both agree is what is tested. */
export function sampleImage({ map, blockSize = 4096, size, type = 1 }: SampleOptions): SampleImage {
  const stored = map.filter((entry) => entry < ZERO);
  const dataOffset = Math.ceil((MAP_OFFSET + map.length * 4) / 512) * 512;
  const image = new Uint8Array(dataOffset + (Math.max(-1, ...stored) + 1) * blockSize);
  const content = new Uint8Array(map.length * blockSize);
  const view = new DataView(image.buffer);
  image.set(new TextEncoder().encode('<<< made by a test >>>\n'));
  setField(view, 'signature', 0xbeda107f);
  setField(view, 'version', 0x00010001);
  setField(view, 'headerLength', 0x180);
  setField(view, 'type', type);
  setField(view, 'mapOffset', MAP_OFFSET);
  setField(view, 'dataOffset', dataOffset);
  setField(view, 'size', size ?? content.length);
  setField(view, 'blockSize', blockSize);
  setField(view, 'blocks', map.length);
  setField(view, 'storedBlocks', stored.length);
  for (const [block, entry] of map.entries()) {
    view.setUint32(MAP_OFFSET + block * 4, entry, true);
    if (entry < ZERO) {
      const bytes = pattern(entry, 0, blockSize);
      image.set(bytes, dataOffset + entry * blockSize);
      content.set(bytes, block * blockSize);
    }
  }
  return { image, content: content.slice(0, size) };
}

/** Changes a header field. */
export function setField(view: DataView, name: keyof typeof FIELD, value: number): void {
  view.setUint32(FIELD[name], value, true);
}
