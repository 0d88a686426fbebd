/**
 * Widens the thread pool on which Node.js runs file access and compression, from 4 threads, unless
 * `UV_THREADPOOL_SIZE` is set already. Reads that miss the page cache run there, and only reads in
 * parallel make a cold disk fast.
 *
 * Has an effect only before the pool's first use, so call it first of all in a program. A library
 * should leave it to the program.
 *
 * @param threads - 1 to 1024
 */
export function widenThreadPool(threads = 32): void {
  process.env.UV_THREADPOOL_SIZE ??= String(threads);
}
