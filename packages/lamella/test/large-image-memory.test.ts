import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plainNode, run } from '@lamella/test-support';
import t from 'tap';
import { skipWithoutQemu } from './support/qemu.js';
import { sandbox } from './support/sandbox.js';

const MIB = 1024 ** 2;
/** What may come on top of the cache, for all that is no cache: Node.js itself takes half of it. */
const REST = 80e6;
/** By so much Node.js alone differs from machine to machine; the figure itself is printed. */
const NODE_VARIES = 12e6;
const READS = 60_000;
const CHILD = fileURLToPath(new URL('./support/random-reads-child.js', import.meta.url));

function measure(path: string, cacheSize: number): { growth: number; peak: number } {
  const output = execFileSync(...plainNode(CHILD, path, `${cacheSize}`, `${READS}`), {
    encoding: 'utf8',
    timeout: 300_000,
  });
  const answer: unknown = JSON.parse(output);
  if (
    typeof answer === 'object' &&
    answer !== null &&
    'growth' in answer &&
    typeof answer.growth === 'number' &&
    'peak' in answer &&
    typeof answer.peak === 'number'
  ) {
    return { growth: answer.growth, peak: answer.peak };
  }
  throw new Error(`the child said ${output}`);
}

t.test('reading all over 1 TiB takes the cache and 80 MB at most', skipWithoutQemu, async (t) => {
  const path = join(sandbox(t), 'large.qcow2');
  // All L2 tables are there: 128 MiB of them.
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'preallocation=metadata', path, '1T');
  for (const cacheSize of [32 * MIB]) {
    const { growth, peak } = measure(path, cacheSize);
    const text = `${(growth / 1e6).toFixed(0)} MB more, ${(peak / 1e6).toFixed(0)} MB in all`;
    t.ok(peak <= cacheSize + REST + NODE_VARIES, `a cache of ${cacheSize / MIB} MiB: ${text}`);
  }
  const { growth, peak } = measure(path, 256 * MIB);
  t.ok(peak > 32 * MIB + REST, `holding all would be seen: ${(growth / 1e6).toFixed(0)} MB more`);
});
