import type { ImageDetails } from '@lamella/core';
import type { KeySlot, LuksHeader } from './layout.js';

/** What `qemu-img info` tells of a LUKS header, in its order. */
export function luksDetails(header: LuksHeader): ImageDetails {
  const { spec, hash, uuid, slots, payloadOffset, digestIterations } = header;
  return {
    'ivgen-alg': spec.ivGenerator,
    'detached-header': false,
    ...(spec.ivHash === undefined ? {} : { 'ivgen-hash-alg': spec.ivHash }),
    'hash-alg': hash,
    'cipher-alg': spec.cipher,
    uuid,
    format: 'luks',
    'cipher-mode': spec.mode,
    slots: slots.map(slotDetails),
    'payload-offset': payloadOffset,
    'master-key-iters': digestIterations,
  };
}

function slotDetails({ active, iterations, keyArea, stripes }: KeySlot): ImageDetails {
  return active
    ? { active, iters: iterations, 'key-offset': keyArea, stripes }
    : { active, 'key-offset': keyArea };
}
