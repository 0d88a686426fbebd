import type { Koffi, KoffiFunction } from './koffi.js';
import type { NativeCalls } from './native-calls.js';

// struct flock of 64-bit Linux: int16 type, int16 whence, then at 8 the start, at 16 the length, at
// 24 the process, which has to be 0 for locks of open files.
const FLOCK_SIZE = 32;
const TYPE = 0;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;

/** Locks of open files, by `fcntl`. None of the calls waits for another process. */
export function bindLocks(koffi: Koffi, fcntl: KoffiFunction): NonNullable<NativeCalls['locks']> {
  // One struct serves all: the calls are synchronous. An ArrayBuffer never moves.
  const flock = new ArrayBuffer(FLOCK_SIZE);
  const shorts = new Int16Array(flock);
  const longs = new BigInt64Array(flock);
  const address = koffi.address(new Uint8Array(flock));

  const call = (fd: number, command: number, type: number, offset: number, length: number) => {
    longs.fill(0n);
    shorts[TYPE] = type;
    longs[1] = BigInt(offset);
    longs[2] = BigInt(length);
    const result = fcntl(fd, command, 'uintptr_t', address);
    return result === -1 ? -koffi.errno() : 0;
  };
  return {
    share: (fd, offset, length) => call(fd, F_OFD_SETLK, F_RDLCK, offset, length),
    release: (fd, offset, length) => call(fd, F_OFD_SETLK, F_UNLCK, offset, length),
    test: (fd, offset, length) => {
      const result = call(fd, F_OFD_GETLK, F_WRLCK, offset, length);
      return result < 0 ? result : shorts[TYPE] === F_UNLCK ? 0 : 1;
    },
  };
}
