import { Disk, MemoryStorage, type OptionValue, type Storage } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { NodeCrypto } from '@lamella/platform-node';
import { outcome, run } from '@lamella/test-support';
import { CountingCodec } from './disks.js';
import { qemuImg } from './qemu.js';

/** The driver with Node.js's cryptography. */
export const cryptoDriver = new Qcow2Driver([new CountingCodec()], new NodeCrypto());

/** The passphrase of most tests. */
export const PASSPHRASE = 'correct horse';

/** Options of an image that is quick to open. */
export const LUKS = { 'encrypt.format': 'luks', 'encrypt.iter-time': 1 } as const;

/** A new encrypted image in memory. */
export async function newEncrypted(
  size: number,
  options: Record<string, OptionValue> = LUKS,
  passphrase: string | Uint8Array = PASSPHRASE,
): Promise<MemoryStorage> {
  const storage = new MemoryStorage({ location: 'new.qcow2' });
  await cryptoDriver.create(storage, { size, options, passphrase });
  return storage;
}

/** An open image over a storage; the disk closes both. */
export async function openEncrypted(
  storage: Storage,
  options: {
    readonly passphrase?: string | Uint8Array;
    readonly writable?: boolean;
    readonly below?: Storage;
  } = {},
): Promise<Disk> {
  const { passphrase = PASSPHRASE, writable = false, below } = options;
  const image = await cryptoDriver.open(storage, { writable, passphrase });
  const top = { format: 'qcow2', storage, image, writable };
  if (below === undefined) {
    return new Disk([top]);
  }
  const lower = await cryptoDriver.open(below, { writable: false, passphrase });
  return new Disk([top, { format: 'qcow2', storage: below, image: lower, writable: false }]);
}

const SECRET = (passphrase: string) => ['--object', `secret,id=s,data=${passphrase}`];

/** Makes an encrypted image by qemu-img. */
export function qemuCreate(path: string, size: string, options: string, pass = PASSPHRASE): void {
  const all = `encrypt.key-secret=s${options === '' ? '' : `,${options}`}`;
  qemuImg('create', '-q', ...SECRET(pass), '-f', 'qcow2', '-o', all, path, size);
}

/** Names an encrypted image for --image-opts. */
export function imageOptions(path: string): string {
  return `driver=qcow2,file.driver=file,file.filename=${path},encrypt.key-secret=s`;
}

/** Runs qemu-io commands on an encrypted image. */
export function qemuIoEncrypted(path: string, pass: string, ...commands: string[]): string {
  return run(
    'qemu-io',
    ...SECRET(pass),
    '--image-opts',
    ...commands.flatMap((command) => ['-c', command]),
    imageOptions(path),
  );
}

/** The disk's bytes as QEMU reads them from an encrypted image. */
export function qemuDecrypt(path: string, pass: string, raw: string): void {
  run('qemu-img', 'convert', ...SECRET(pass), '--image-opts', '-O', 'raw', imageOptions(path), raw);
}

/** Changes keys by qemu-img amend: `data` are passphrases by the ids `s` (opens), `new` and `old`. */
export function qemuAmend(path: string, data: Record<string, string>, options: string): void {
  const secrets = Object.entries(data).flatMap(([id, pass]) => [
    '--object',
    `secret,id=${id},data=${pass}`,
  ]);
  qemuImg('amend', ...secrets, '--image-opts', imageOptions(path), '-o', options);
}

/** Whether QEMU opens an image by a passphrase. */
export function qemuOpens(path: string, pass: string): boolean {
  const args = [...SECRET(pass), '--image-opts', '-c', 'read 0 512', imageOptions(path)];
  return outcome('qemu-io', args).status === 0;
}

/** Exit code of qemu-img check: 0 clean, 2 corrupt, 3 leaks. */
export function qemuCheckEncrypted(path: string, pass: string): number | null {
  const args = ['check', ...SECRET(pass), '--image-opts', imageOptions(path)];
  return outcome('qemu-img', args).status;
}
