import { isLamellaError, Lamella } from 'lamella';

/**
 * Opens an image, reads a little, closes it, and prints how much memory that took at most. A process of
 * its own because the peak of a process never goes down again.
 */
const [path = '', mode] = process.argv.slice(2);
let outcome = 'ok';
try {
  const disk = await new Lamella().open(path, { writable: mode === 'rw', references: 'deny' });
  try {
    await disk.read(new Uint8Array(Math.min(4096, disk.size)), 0);
    await disk.read(new Uint8Array(Math.min(512, disk.size)), disk.size - Math.min(512, disk.size));
  } finally {
    await disk.close();
  }
} catch (error) {
  // Anything that is no LamellaError ends the process with a failure.
  if (!isLamellaError(error)) {
    throw error;
  }
  outcome = error.code;
}
// Kilobytes on every platform, by the documentation of Node.js.
process.stdout.write(JSON.stringify({ outcome, peak: process.resourceUsage().maxRSS * 1024 }));
