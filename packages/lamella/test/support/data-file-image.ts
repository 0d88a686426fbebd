import { Qcow2Driver } from '@lamella/driver-qcow2';
import { Disk, MemoryStorage, type OptionValue } from 'lamella';

/** Where the image of {@link imageWithDataFile} has data, and where it has none. */
export const DATA = 65_536;
export const NO_DATA = 4 * 65_536;
const SIZE = 1024 * 1024;

/**
 * The bytes of a qcow2 image that names a data file which need not exist, and what that file would hold.
 *
 * @param name - as the image is to name it
 */
export async function imageWithDataFile(
  name: string,
  options: Readonly<Record<string, OptionValue>> = {},
  backing?: { readonly location: string; readonly format: string },
): Promise<{ readonly image: Uint8Array; readonly data: Uint8Array }> {
  const driver = new Qcow2Driver([]);
  const [storage, dataFile] = [new MemoryStorage(), new MemoryStorage()];
  const openDataFile = async () => dataFile;
  await driver.create(storage, {
    size: SIZE,
    backing,
    options: { data_file: name, ...options },
    openDataFile,
  });
  const image = await driver.open(storage, { writable: true, openDataFile });
  const disk = new Disk([{ format: 'qcow2', storage: new MemoryStorage(), image, writable: true }]);
  await disk.write(new Uint8Array(4096).fill(7), DATA);
  await disk.flush();
  return { image: await bytesOf(storage), data: await bytesOf(dataFile) };
}

async function bytesOf(storage: MemoryStorage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.size);
  storage.read(bytes, 0);
  return bytes;
}
