import { Disk, type Layer, type Storage } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { WrappedStorage } from '@lamella/driver-testkit';
import { DeflateCodec, NodeCrypto } from '@lamella/platform-node';

/** The driver with everything that Node.js gives. */
export const wholeDriver = new Qcow2Driver([new DeflateCodec()], new NodeCrypto());

/** A storage that outlives the disks over it. */
class Lasting extends WrappedStorage {
  override async close(): Promise<void> {}
}

async function layer(storage: Storage, writable: boolean, passphrase?: string): Promise<Layer> {
  const image = await wholeDriver.open(storage, { writable, passphrase });
  return { format: 'qcow2', storage: new Lasting(storage), image, writable };
}

/** Opens a disk over qcow2 storages, top first; only the top may be writable, all have one passphrase. */
export async function openWhole(
  storages: readonly [Storage, ...Storage[]],
  options: { readonly writable?: boolean; readonly passphrase?: string | undefined } = {},
): Promise<Disk> {
  const [top, ...rest] = storages;
  const below = await Promise.all(rest.map((each) => layer(each, false, options.passphrase)));
  return new Disk([await layer(top, options.writable ?? false, options.passphrase), ...below]);
}
