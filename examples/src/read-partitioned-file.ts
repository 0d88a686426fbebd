/**
 * Reads files out of a partitioned disk in a qcow2 image, without mounting anything: the filter `partition` finds
 * the partition, and the package `ext2fs` reads the ext4 file system in it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { PartitionDriver } from '@lamella/filters';
import { type BlockDevice, withMountedDisk } from 'ext2fs';
import { type Disk, Lamella } from 'lamella';

const MiB = 1024 * 1024;

// #region device
/** A disk as the package wants block devices. */
class DiskDevice implements BlockDevice {
  constructor(private readonly disk: Disk) {}

  async read(buffer: Uint8Array, bufferOffset: number, length: number, offset: number) {
    await this.disk.read(buffer.subarray(bufferOffset, bufferOffset + length), offset);
    return { bytesRead: length, buffer };
  }

  async write(buffer: Uint8Array, bufferOffset: number, length: number, offset: number) {
    await this.disk.write(buffer.slice(bufferOffset, bufferOffset + length), offset);
    return { bytesWritten: length, buffer };
  }

  discard(offset: number, length: number): Promise<void> {
    return this.disk.discard(offset, length);
  }

  flush(): Promise<void> {
    return this.disk.flush();
  }
}
// #endregion device

const folder = await mkdtemp(join(tmpdir(), 'lamella-'));
const image = join(folder, 'guest.qcow2');
const lamella = new Lamella();

/** A disk as an installer leaves it: a master boot record, and a file system in the first partition. */
async function install(): Promise<void> {
  const packed = await readFile(new URL('../golden/guest.ext4.gz', import.meta.url));
  const fileSystem = gunzipSync(packed);
  const bootRecord = Buffer.alloc(512);
  bootRecord.writeUInt8(0x83, 446 + 4);
  bootRecord.writeUInt32LE(MiB / 512, 446 + 8);
  bootRecord.writeUInt32LE(fileSystem.length / 512, 446 + 12);
  bootRecord.writeUInt16LE(0xaa55, 510);

  await lamella.create(image, { format: 'qcow2', size: 8 * MiB });
  await using disk = await lamella.open(image, { writable: true });
  await disk.write(bootRecord, 0);
  await disk.write(fileSystem, MiB);
}

try {
  await install();

  // #region read
  lamella.register(PartitionDriver);
  await using disk = await lamella.open(image, { references: 'deny' });
  await using partition = await lamella.filter(disk, {
    format: 'partition',
    options: { number: 1 },
  });
  // Reading changes times of access. A layer in memory takes such writes; the image is open for reading only.
  await using scratch = await lamella.overlay(partition, { maxBytes: 16 * MiB });

  await withMountedDisk(new DiskDevice(scratch), 0, async ({ promises: fs }) => {
    console.log(`hostname: ${(await fs.readFile('/etc/hostname', 'utf8')).trim()}`);
    const log = (await fs.readFile('/var/log/messages', 'utf8')).trim().split('\n');
    console.log(`messages: ${log.length} lines, the last is '${log.at(-1)}'`);
    console.log(`/: ${(await fs.readdir('/')).sort().join(' ')}`);
  });
  // #endregion read
} finally {
  await rm(folder, { recursive: true });
}
