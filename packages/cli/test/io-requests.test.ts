import { type Case, compareAll } from './io/differential.js';
import { newerUsage } from './io/newer.js';
import { on } from './io/on.js';
import type { Outcome } from './support/in-process.js';

const ZEROES = 'zeroes over zeroes: which of the ways to store nothing is taken';
const SUBCLUSTERS = 'QEMU zeroes whole subclusters that are zeroes already around a smaller range';
const NO_DISCARD = 'QEMU discards nothing in QED images';
const QED_FALLBACK = 'QEMU zeroes nothing in QED images by metadata when told not to write';

const V2_ZEROES =
  'QEMU refuses in version 2 whatever there is; ours where zeroes would have to be written';

function secondSucceeds(outcome: Outcome): Outcome {
  const refused = 'write failed: Operation not supported\n';
  const done =
    'wrote 3/3 bytes at offset 1\n3 bytes, 1 ops; 00.00 sec (1 KiB/sec and 1.0000 ops/sec)\n';
  return { ...outcome, stdout: outcome.stdout.replace(refused + refused, refused + done) };
}

/** What is tried on every image; the second part says what may differ, for which images. */
function casesOf(image: string): readonly Case[] {
  const qed = image.endsWith('.qed');
  return [
    on(
      image,
      'read 0 64k',
      'read -P 0 0 512',
      'read -P 17 0 512',
      'read 1M 1',
      'read 1048575 1',
      'read 1048575 2',
    ),
    on(
      image,
      'write 0 64k',
      'write -P 1 65530 13',
      'read -v 65520 32',
      'map',
      'alloc 0',
      'alloc 64k 512k',
    ),
    on(image, 'write -z 0 64k', 'read -P 0 0 64k', 'map'),
    {
      run: on(image, 'write -z 3 100', 'read -v 0 128', 'map'),
      ignorePlaces: true,
      because: ZEROES,
    },
    {
      run: on(image, 'write -zu 128k 200k', 'read -P 0 128k 200k', 'map'),
      ignorePlaces: true,
      because: ZEROES,
    },
    ...(qed
      ? [
          {
            run: on(image, 'write -zn 1 64k', 'read 64k 64k'),
            ignoreImages: true,
            because: QED_FALLBACK,
          },
        ]
      : image === 'ext.qcow2'
        ? [{ run: on(image, 'write -zn 64k 64k'), ignorePlaces: true, because: SUBCLUSTERS }]
        : [
            {
              run: on(image, 'write -zn 64k 64k', 'write -zn 1 3', 'read 64k 64k', 'map'),
              ...(image === 'v2.qcow2' ? { because: V2_ZEROES, corrected: secondSucceeds } : {}),
            },
          ]),
    on(image, 'writev -P 7 1000 512 1024 1', 'readv -P 7 1000 1537', 'readv -v 990 16 16', 'flush'),
    {
      run: on(image, 'discard 0 64k', 'discard 128k 128k', 'read -v 64k 16', 'length'),
      ...(qed ? { ignoreImages: true, because: NO_DISCARD } : {}),
    },
    on(image, 'info', 'length', 'map', 'alloc 0 1M', 'alloc 900k', 'alloc 1000k 100k'),
    on(
      image,
      'aio_write -P 3 0 70k',
      'aio_flush',
      'aio_read -P 3 0 70k',
      'aio_flush',
      'aio_read -P 4 0 512',
      'aio_flush',
      'aio_read -v 0 20',
      'aio_flush',
    ),
    on(
      image,
      'write -f -P 9 300k 10',
      'write -q -P 9 310k 10',
      'write -C 320k 512',
      'read -C 0 1k',
      'read -q 0 1k',
      'writev -C 0 512',
      'flush',
    ),
    on(
      `-r ${image}`,
      'write 0 1k',
      'read 0 1k',
      'discard 0 1k',
      'truncate 2M',
      'flush',
      'aio_write 0 1k',
      'writev 0 1',
      'write',
      'write -z 0',
    ),
    on(`-s ${image}`, 'write -P 5 0 70k', 'read -P 5 0 70k', 'info', 'map', 'length'),
    on(`-t none ${image}`, 'write -P 5 0 70k', 'read -P 5 0 70k'),
    on(`-t writeback ${image}`, 'write -P 5 100 70k', 'read -P 5 100 70k', 'flush'),
    on(`-n ${image}`, 'read 1 5', 'write 17 33'),
    on(image, 'truncate 2M', 'length', 'write -P 3 1500k 4k', 'read 1M 1M', 'map'),
  ];
}

compareAll(
  [
    '-f raw base.raw',
    'plain.qcow2',
    'over.qcow2',
    'top.qcow2',
    'v2.qcow2',
    'ext.qcow2',
    'plain.qed',
    'over.qed',
  ]
    .flatMap(casesOf)
    .concat(
      on('bits.qcow2', 'write -P 9 100k 100k', 'read -P 9 100k 100k', 'map', 'length'),
      on('over.qcow2', 'write -z 130k 3k', 'write -z 250k 80k', 'write -z 1k 1k', 'map'),
      on('bits.qcow2', 'write -z 64k 64k', 'discard 0 1M', 'flush', 'map'),
      on('bits.qcow2', 'aio_write -P 4 300k 5k', 'aio_flush', 'truncate 2M', 'length', 'map'),
      {
        run: on('bits.qcow2', 'info'),
        because:
          'QEMU says of bitmaps that they are in use from opening on, ours from the first write',
        corrected: (outcome) => ({
          ...outcome,
          stdout: outcome.stdout
            .replace(/^ *\[0\]: in-use\n( *)\[1\]: auto$/m, '$1[0]: auto')
            .replace(/^( *flags:)\n *\[0\]: in-use$/m, '$1'),
        }),
      },
    )
    .map(newerUsage),
);
