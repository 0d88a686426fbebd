import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryStorage, type Storage } from '@lamella/core';
import type { Test } from 'tap';

/** Whether qemu-img and qemu-io are there. */
export const HAVE_QEMU = ['qemu-img', 'qemu-io'].every(
  (tool) => spawnSync(tool, ['--version']).status === 0,
);

/** Skips a test visibly without the tools, or fails it where they must be there. */
export const qemuTest = HAVE_QEMU
  ? {}
  : process.env.LAMELLA_REQUIRE_QEMU === '1'
    ? {}
    : { skip: 'qemu-img and qemu-io are not installed' };

/** A directory that is gone after the test. */
export function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'lamella-qcow2-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** QEMU measures LUKS's iterations by CPU time, and gives up now and then where the clock is coarse. */
const COARSE_CLOCK = 'Unable to get accurate CPU usage';

/** Runs qemu-img and gives its output. */
export function qemuImg(...args: string[]): string {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return execFileSync('qemu-img', args, {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    } catch (error) {
      if (attempt === 10 || !String(error).includes(COARSE_CLOCK)) {
        throw error;
      }
    }
  }
}

/** Runs qemu-io commands on an image. */
export function qemuIo(path: string, ...commands: string[]): string {
  const args = ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path];
  return execFileSync('qemu-io', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What qemu-img check says: 0 clean, 2 corrupt, 3 leaks. */
export function qemuCheck(path: string): { readonly code: number | null; readonly text: string } {
  const result = spawnSync('qemu-img', ['check', '-f', 'qcow2', path], { encoding: 'utf8' });
  return { code: result.status, text: `${result.stdout}${result.stderr}` };
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
