import { LamellaError } from '@lamella/core';

/** Names of the system's error numbers (Linux) that rules use. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'EPERM'],
  [2, 'ENOENT'],
  [4, 'EINTR'],
  [5, 'EIO'],
  [6, 'ENXIO'],
  [9, 'EBADF'],
  [11, 'EAGAIN'],
  [12, 'ENOMEM'],
  [13, 'EACCES'],
  [16, 'EBUSY'],
  [17, 'EEXIST'],
  [19, 'ENODEV'],
  [22, 'EINVAL'],
  [27, 'EFBIG'],
  [28, 'ENOSPC'],
  [29, 'ESPIPE'],
  [30, 'EROFS'],
  [95, 'EOPNOTSUPP'],
]);
const ENOSPC = 28;

/** The failure of a request as the system would report it. */
export function injectedError(errno: number, location: string, offset: number): LamellaError {
  const code = NAMES.get(errno) ?? `errno ${errno}`;
  return new LamellaError(errno === ENOSPC ? 'NO_SPACE' : 'IO_ERROR', `injected failure: ${code}`, {
    location,
    offset,
    cause: Object.assign(new Error(code), { code, errno: -errno }),
  });
}
