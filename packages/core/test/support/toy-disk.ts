import { Disk, type Layer } from '@lamella/core';
import type { ToyImage } from './toy-image.js';

/** A disk over toy images, top first. */
export function toyDisk(...images: readonly [ToyImage, ...ToyImage[]]): Disk {
  const layer = (image: ToyImage, index: number): Layer => ({
    format: 'toy',
    storage: image.storage,
    image,
    writable: index === 0,
  });
  const [top, ...rest] = images;
  return new Disk([layer(top, 0), ...rest.map((image, index) => layer(image, index + 1))]);
}
