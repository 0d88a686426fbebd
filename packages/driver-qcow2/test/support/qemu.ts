import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { MemoryStorage, type Storage } from '@lamella/core';
import { needs, outcome, run } from '@lamella/test-support';

export { directory } from '@lamella/test-support';

/** For tests that need qemu-img and qemu-io. */
export const qemuTest = needs('qemu-img', 'qemu-io');

/** Whether such tests run. */
export const HAVE_QEMU = qemuTest.skip === undefined;

/** Runs qemu-img and gives its output. */
export function qemuImg(...args: string[]): string {
  return run('qemu-img', ...args);
}

/** Runs qemu-io commands on an image. */
export function qemuIo(path: string, ...commands: string[]): string {
  return run('qemu-io', '-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path);
}

/** What qemu-img check says: 0 clean, 2 corrupt, 3 leaks. */
export function qemuCheck(path: string): { readonly code: number | null; readonly text: string } {
  const { status, stdout, stderr } = outcome('qemu-img', ['check', '-f', 'qcow2', path]);
  return { code: status, text: `${stdout}${stderr}` };
}

/** The whole disk as QEMU reads it. */
export function qemuContent(path: string): Uint8Array {
  qemuImg('convert', '-f', 'qcow2', '-O', 'raw', path, `${path}.raw`);
  const content = readFileSync(`${path}.raw`);
  rmSync(`${path}.raw`);
  return new Uint8Array(content);
}

/** A file's bytes in memory. */
export function loadFile(path: string): MemoryStorage {
  return MemoryStorage.from(readFileSync(path), { location: path });
}

/** Writes a storage's bytes to a file. */
export async function saveFile(storage: Storage, path: string): Promise<void> {
  const bytes = new Uint8Array(storage.size);
  await storage.read(bytes, 0);
  writeFileSync(path, bytes);
}
