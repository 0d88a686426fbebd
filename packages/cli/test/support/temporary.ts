import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** A directory that is removed with the test. */
export function temporary(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'lamella-people-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
