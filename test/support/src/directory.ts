import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What is used of a tap test. */
interface Teardown {
  teardown(action: () => unknown): void;
}

/** An empty directory that goes away with the test. */
export function directory(test: Teardown): string {
  const path = mkdtempSync(join(tmpdir(), 'lamella-'));
  test.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Paths in an empty directory that goes away with the test. */
export function paths(test: Teardown): (name: string) => string {
  const path = directory(test);
  return (name) => join(path, name);
}
