import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The workspace. */
export const ROOT = fileURLToPath(new URL('../../../../../', import.meta.url));

const LEFT_OUT = ['node_modules', 'dist', 'build', 'api', '.git', '.tap', 'golden', 'tmp'];

/**
 * Files below a folder of the workspace, sorted, relative to the workspace.
 *
 * @param extension - with its dot
 */
export function filesBelow(folder: string, extension: string): readonly string[] {
  const below = (path: string): string[] =>
    readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
      const inside = join(path, entry.name);
      if (entry.isDirectory()) {
        return LEFT_OUT.includes(entry.name) ? [] : below(inside);
      }
      return entry.name.endsWith(extension) ? [relative(ROOT, inside)] : [];
    });
  return below(join(ROOT, folder)).sort();
}

/** Every document for people: README files, guides, whatever else is markdown. */
export function documents(): readonly string[] {
  return filesBelow('.', '.md');
}

/** Sources whose docstrings are published. */
export function sources(): readonly string[] {
  return filesBelow('packages', '.ts').filter((file) => /^packages\/[^/]+\/src\//.test(file));
}
