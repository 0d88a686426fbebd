import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plainNode, run } from '@lamella/test-support';
import t from 'tap';
import { skipWithoutQemu } from './support/qemu.js';
import { sandbox } from './support/sandbox.js';

const MIB = 1024 ** 2;
/** What may come on top of the cache while reading: V8 makes its young generation larger by up to so much. */
const WHILE_READING = 16e6;
/**
 * What may come on top of the cache and of what Node.js takes to run nothing. The two together are to be
 * 80 MB, but Node.js takes 40 to 53 on the machines seen, and collects garbage when it likes: the room for
 * that is generous, as all tables together would be three times as much.
 */
const BESIDES_NODE = 48e6;
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

/** The most memory that Node.js takes to run nothing, in bytes. */
function nodeAlone(): number {
  const script = 'console.log(process.resourceUsage().maxRSS * 1024)';
  return Number(execFileSync(...plainNode('-e', script), { encoding: 'utf8' }));
}

t.test('reading all over 1 TiB takes the cache and 80 MB', skipWithoutQemu, async (t) => {
  const path = join(sandbox(t), 'large.qcow2');
  // All L2 tables are there: 128 MiB of them.
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'preallocation=metadata', path, '1T');
  const node = nodeAlone();
  const cache = 32 * MIB;
  const small = measure(path, cache);
  t.comment(`${inMB(small.peak)} in all, Node.js alone ${inMB(node)}`);
  t.ok(small.growth <= cache + WHILE_READING, `${inMB(small.growth)} more while reading`);
  const besides = small.peak - node;
  t.ok(besides <= cache + BESIDES_NODE, `${inMB(besides)} more than Node.js alone`);
  const large = measure(path, 256 * MIB);
  t.ok(large.growth > cache + WHILE_READING, `holding all would be seen: ${inMB(large.growth)}`);
  t.ok(large.peak - node > cache + BESIDES_NODE, 'in the sum, too');
});

function inMB(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
