import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Lamella } from 'lamella';
import type { Workload } from './workload.js';

const run = promisify(execFile);

/** Whoever runs a workload: seconds for all requests, without start-up. */
export interface Contender {
  readonly name: string;
  measure(image: string, format: string, workload: Workload): Promise<number>;
}

/** `qemu-img bench` with one way of doing I/O. */
export function qemu(aio: 'threads' | 'io_uring'): Contender {
  return {
    name: `qemu-img -i ${aio}`,
    async measure(image, format, { kind, size, count, depth, step }) {
      const { stdout } = await run('qemu-img', [
        'bench',
        ...['-f', format, '-i', aio, '-t', 'writeback'],
        ...['-s', `${size}`, '-c', `${count}`, '-d', `${depth}`, '-S', `${step}`],
        ...(kind === 'write' ? ['-w'] : []),
        image,
      ]);
      const seconds = /Run completed in ([\d.]+) seconds/.exec(stdout)?.[1];
      if (seconds === undefined) {
        throw new Error(`qemu-img bench printed no time: ${stdout}`);
      }
      return Number(seconds);
    },
  };
}

/** The library, through `Disk`. */
export const library: Contender = {
  name: 'lamella',
  async measure(image, format, { kind, size, count, depth, step }) {
    await using disk = await new Lamella().open(image, { format, writable: kind === 'write' });
    const lanes = Array.from({ length: depth }, () => Buffer.alloc(size, 0x5a));
    let next = 0;
    let offset = 0;
    const lane = async (buffer: Buffer): Promise<void> => {
      while (next < count) {
        next += 1;
        const at = offset;
        offset += step;
        if (offset + size > disk.size) {
          offset %= disk.size - size;
          offset -= offset % Math.min(size, 4096);
        }
        await (kind === 'read' ? disk.read(buffer, at) : disk.write(buffer, at));
      }
    };
    const start = process.hrtime.bigint();
    await Promise.all(lanes.map(lane));
    return Number(process.hrtime.bigint() - start) / 1e9;
  },
};
