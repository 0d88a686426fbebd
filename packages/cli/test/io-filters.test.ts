import { type Case, compareAll } from './io/differential.js';
import { newerUsage } from './io/newer.js';
import { on } from './io/on.js';

/** A `json:` name of an image over blkdebug with rules. */
function over(format: string, image: string, ...rules: readonly object[]): string {
  const file = {
    driver: 'blkdebug',
    image: { driver: 'file', filename: image },
    'inject-error': rules,
  };
  return `'json:${JSON.stringify({ driver: format, file })}'`;
}

const RAW = 'blkdebug::base.raw';
const QCOW2 = 'blkdebug::plain.qcow2';
const WRITES = ['write 0 1k', 'write 0 1k', 'read 0 1k', 'flush'];

const INJECTED: readonly Case[] = [
  on(over('qcow2', 'plain.qcow2', { event: 'read_aio' }), 'read 0 1k', 'flush'),
  on(over('raw', 'base.raw', { event: 'none', iotype: 'flush' }), 'flush', 'read 0 1k'),
  on(over('raw', 'base.raw', { event: 'flush_to_disk' }), 'flush', 'read 0 1k'),
  on(over('raw', 'base.raw', { event: 'flush_to_os' }), 'flush', 'read 0 1k'),
  on(over('raw', 'base.raw', { event: 'write_aio', errno: 28, once: true }), ...WRITES),
  on(over('raw', 'base.raw', { event: 'write_aio', errno: 28 }), 'read 0 1k', ...WRITES),
  on(over('raw', 'base.raw', { event: 'read_aio' }), 'write 0 1k', 'read 0 1k', 'write 0 1k'),
  on(over('raw', 'base.raw', { event: 'read_aio', once: true }), 'read 0 1k', 'read -P 17 0 1k'),
  on(
    over('raw', 'base.raw', { event: 'none', iotype: 'read' }),
    'write 0 1k',
    'read 0 1k',
    'write -z 0 4k',
    'discard 0 4k',
  ),
  on(
    over('raw', 'base.raw', { event: 'none', iotype: 'write' }),
    'write 0 1k',
    'read 0 1k',
    'write -z 0 4k',
    'discard 0 4k',
  ),
  on(
    over('raw', 'base.raw', { event: 'none', iotype: 'write-zeroes' }),
    'write 0 1k',
    'read 0 1k',
    'write -z 0 4k',
    'discard 0 4k',
  ),
  on(
    over('raw', 'base.raw', { event: 'none', iotype: 'discard' }),
    'write 0 1k',
    'read 0 1k',
    'write -z 0 4k',
    'discard 0 4k',
  ),
  on(
    over('raw', 'base.raw', { event: 'none', iotype: 'flush' }),
    'write 0 1k',
    'read 0 1k',
    'flush',
  ),
  on(
    over('raw', 'base.raw', { event: 'none', errno: 28 }),
    'write 0 1k',
    'read 0 1k',
    'write -z 0 4k',
    'discard 0 4k',
  ),
  on(
    over('raw', 'base.raw', { event: 'none', sector: 8 }),
    'write 0 1k',
    'write 4k 512',
    'write 2k 4k',
    'read 4k 512',
    'read 3584 512',
    'read 4608 1',
  ),
  on(
    over('raw', 'base.raw', { event: 'write_aio', sector: 8 }),
    'write 0 1k',
    'write 4k 512',
    'write 2k 4k',
    'read 4k 512',
  ),
  on(
    over(
      'raw',
      'base.raw',
      { event: 'none', errno: 13, iotype: 'write', once: true },
      { event: 'read_aio', errno: 12, once: true },
    ),
    ...WRITES,
    'read 0 1',
  ),
  on(over('raw', 'base.raw', { event: 'pwritev', errno: 5, once: true }), ...WRITES),
  on(
    over('qcow2', 'plain.qcow2', { event: 'write_aio', errno: 28, once: true }),
    'write -P 1 0 1k',
    'read -P 5 0 1k',
    'write -P 1 0 1k',
    'read -P 1 0 1k',
  ),
  {
    run: on(
      over('qcow2', 'plain.qcow2', { event: 'write_aio', errno: 28, once: true }),
      'write -P 1 300k 1k',
      'read -P 0 300k 1k',
      'write -P 1 300k 1k',
      'read -P 1 300k 1k',
    ),
    ignorePlaces: true,
    because: 'the space of the write that failed is taken again or not',
  },
  on(
    over('qcow2', 'plain.qcow2', { event: 'read_aio', once: true }),
    'read 0 1k',
    'read -P 5 0 1k',
  ),
  on(
    over('qcow2', 'plain.qcow2', { event: 'read_aio', errno: 28, once: true }),
    'aio_read 0 1k',
    'aio_flush',
    'read -P 5 0 1k',
  ),
  on(
    over('qed', 'plain.qed', { event: 'write_aio', once: true }),
    'write 0 1k',
    'write 0 1k',
    'read -P 0xcd 0 1k',
  ),
  // Names and rules that can't be.
  on(over('raw', 'base.raw', { event: 'nothing' }), 'length'),
  on(over('raw', 'base.raw', { event: 'none', iotype: 'nothing' }), 'length'),
  on(over('raw', 'nofile', { event: 'none' }), 'length'),
  '-c length blkdebug:nofile:base.raw',
  '-c length blkdebug:base.raw',
  '-c length blkdebug::nofile',
  '-c length --image-opts driver=qcow2,file.driver=blkdebug,file.image.filename=plain.qcow2,file.inject-error.0.event=read_aio',
  `-c 'read 0 1k' -c 'read 0 1k' --image-opts driver=qcow2,file.driver=blkdebug,file.image.filename=plain.qcow2,file.inject-error.0.event=read_aio,file.inject-error.0.once=on,file.inject-error.0.errno=28`,
  on(
    '',
    'open -o driver=qcow2,file.driver=blkdebug,file.image.filename=plain.qcow2,file.inject-error.0.event=write_aio plain.qcow2',
    'length',
  ),
  on(
    '',
    'open -o driver=qcow2,file.driver=blkdebug,file.image.filename=plain.qcow2,file.inject-error.0.event=write_aio',
    'write 0 1k',
    'length',
  ),
];

const CONFIGURED: readonly Case[] = [
  on('blkdebug:once.conf:base.raw', 'write 0 1k', 'write 0 1k'),
  on('-f raw blkdebug:once.conf:base.raw', 'write 0 1k', 'write 0 1k'),
  on('blkdebug:once.conf:plain.qcow2', 'write -P 1 0 1k', 'write -P 1 0 1k', 'read -P 1 0 1k'),
  on('-f raw blkdebug:state.conf:base.raw', 'write 0 1k', 'write 0 1k', 'write 0 1k', 'read 0 1k'),
  on('-f raw blkdebug:section.conf:base.raw', 'length'),
  on('-f raw blkdebug:key.conf:base.raw', 'length'),
  on('-f raw blkdebug:noevent.conf:base.raw', 'length'),
  on('-f raw blkdebug:event.conf:base.raw', 'length'),
  on('-f raw blkdebug:nogroup.conf:base.raw', 'length'),
  on('-f raw blkdebug:flag.conf:base.raw', 'length'),
];

const BREAKPOINTS: readonly Case[] = [
  on(
    `-f raw ${RAW}`,
    'break write_aio A',
    'aio_write -P 5 0 1k',
    'wait_break A',
    'read -P 17 0 1k',
    'resume A',
    'aio_flush',
    'read -P 5 0 1k',
  ),
  on(
    `-f raw ${RAW}`,
    'break foo B',
    'resume Z',
    'remove_break Z',
    'break write_aio C',
    'remove_break C',
    'remove_break C',
    'write 0 1k',
  ),
  on(
    QCOW2,
    'break write_aio A',
    'aio_write -P 1 300k 4k',
    'wait_break A',
    'read -P 0 400k 4k',
    'resume A',
    'aio_flush',
    'read -P 1 300k 4k',
  ),
  on(
    QCOW2,
    'break read_aio A',
    'aio_read -P 5 64k 4k',
    'wait_break A',
    'read -P 5 0 1k',
    'resume A',
    'aio_flush',
  ),
];

const LAYERS: readonly Case[] = [
  on('-C over.qcow2', 'read -P 17 0 1k', 'map', 'read -P 7 64k 64k', 'read -P 51 900k 100k', 'map'),
  on('-C top.qcow2', 'read -P 17 10 5', 'map', 'read 900k 4k', 'map'),
  on('-C over.qed', 'read -P 17 0 1k', 'map', 'read -P 51 900k 1k', 'map'),
  {
    run: on('-C over.qcow2', 'read 200k 4k', 'read 500k 1', 'map'),
    ignorePlaces: true,
    because: 'QEMU looks at what it copies and stores zeroes as such',
  },
  on('-C -r over.qcow2', 'read 0 4k'),
  on('-C -s over.qcow2', 'read 0 4k', 'map'),
  on('-C plain.qcow2', 'read -P 5 0 200k', 'map'),
  on(
    'packed.qcow2',
    'read -P 17 0 64k',
    'map',
    'info',
    'write -P 1 100 10',
    'read -P 17 0 100',
    'read -P 1 100 10',
  ),
  on(
    'zstd.qcow2',
    'read -P 17 0 64k',
    'map',
    'info',
    'write -P 1 100 10',
    'read -P 17 110 100',
    'read -P 1 100 10',
  ),
  on(
    'plain.qcow2',
    'write -c -P 8 704k 64k',
    'read -P 8 704k 64k',
    'write -c 0 64k',
    'write -c 704k 128k',
    'write -c 768k 32k',
    'write -c 1000k 24k',
    'write -c 1M 64k',
    'map',
  ),
  on('over.qcow2', 'write -c -P 8 704k 64k', 'read -P 8 704k 64k', 'write -cP 9 0 128k', 'map'),
  on('plain.qed', 'write -c 704k 64k'),
  on('snap.qcow2', 'info', 'map', 'read -P 2 0 128k', 'write -P 3 0 64k', 'read -P 3 0 64k'),
  on('-r bits.qcow2', 'map', 'read 0 64k'),
];

compareAll([...INJECTED, ...CONFIGURED, ...BREAKPOINTS, ...LAYERS].map(newerUsage));
