import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLamellaError, type LamellaError } from 'lamella';
import type { Test } from 'tap';

/** Only Linux tells which files a process has open; elsewhere nothing is counted. */
const FD_LINKS = '/proc/self/fd';

/** A folder of its own for one test; its real path, so that links in `/proc` compare. */
export function sandbox(t: Test): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'lamella-facade-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Open file descriptors of this process that lead into a folder. */
export function openFilesIn(directory: string): string[] {
  if (!existsSync(FD_LINKS)) {
    return [];
  }
  return readdirSync(FD_LINKS)
    .map((fd) => {
      try {
        return readlinkSync(join(FD_LINKS, fd));
      } catch {
        // The descriptor that listed the folder is gone by now.
        return '';
      }
    })
    .filter((path) => path.startsWith(`${directory}/`));
}

/** What every entry of a folder looks like: anything that is written or touched changes it. */
export function photograph(directory: string): Record<string, string> {
  const seen: Record<string, string> = {};
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(directory, name);
    const { mode, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
    // Only regular files: opening a pipe would wait, and a sparse file may be of terabytes.
    const isSmall = lstatSync(path).isFile() && size < 8n * 1024n * 1024n;
    const content = isSmall ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
    seen[name] = `${mode} ${size} ${mtimeNs} ${ctimeNs} ${content}`;
  }
  return seen;
}

/** The LamellaError that an action ends with; anything else, success included, fails the test. */
export async function failure(action: () => Promise<unknown>): Promise<LamellaError> {
  try {
    await action();
  } catch (error) {
    if (isLamellaError(error)) {
      return error;
    }
    throw new Error(`not a LamellaError: ${error instanceof Error ? error.stack : error}`);
  }
  throw new Error('a LamellaError was expected, but there was no error');
}
