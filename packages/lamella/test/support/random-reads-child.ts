import { Lamella } from 'lamella';
import { randoms } from './files.js';

/**
 * Reads pages all over an image and prints by how much the peak of this process's memory rose from what a
 * few pages of it took, and what it was. Arguments: path, size of the cache in bytes, number of reads.
 */
const [path = '', cacheSize = '', count = ''] = process.argv.slice(2);
const PAGE = 4096;

async function read(pages: number): Promise<number> {
  const random = randoms(7);
  const buffer = new Uint8Array(PAGE);
  await using disk = await new Lamella().open(path, { cacheSize: Number(cacheSize) });
  for (let page = 0; page < pages; page += 1) {
    await disk.read(buffer, Math.floor((random() * disk.size) / PAGE) * PAGE);
  }
  return process.resourceUsage().maxRSS * 1024;
}

const first = await read(100);
const peak = await read(Number(count));
process.stdout.write(JSON.stringify({ growth: peak - first, peak }));
