import { isLamellaError } from 'lamella';

/** What the C library says of error numbers, which is what scripts look for. */
const STRERROR: ReadonlyMap<string, string> = new Map([
  ['EPERM', 'Operation not permitted'],
  ['ENOENT', 'No such file or directory'],
  ['EIO', 'Input/output error'],
  ['ENXIO', 'No such device or address'],
  ['EBADF', 'Bad file descriptor'],
  ['EAGAIN', 'Resource temporarily unavailable'],
  ['ENOMEM', 'Cannot allocate memory'],
  ['EACCES', 'Permission denied'],
  ['EBUSY', 'Device or resource busy'],
  ['EEXIST', 'File exists'],
  ['ENODEV', 'No such device'],
  ['ENOTDIR', 'Not a directory'],
  ['EISDIR', 'Is a directory'],
  ['EINVAL', 'Invalid argument'],
  ['ENFILE', 'Too many open files in system'],
  ['EMFILE', 'Too many open files'],
  ['ETXTBSY', 'Text file busy'],
  ['EFBIG', 'File too large'],
  ['ENOSPC', 'No space left on device'],
  ['ESPIPE', 'Illegal seek'],
  ['EROFS', 'Read-only file system'],
  ['ENAMETOOLONG', 'File name too long'],
  ['ELOOP', 'Too many levels of symbolic links'],
  ['EOPNOTSUPP', 'Operation not supported'],
  ['ENOTSUP', 'Operation not supported'],
  ['EDQUOT', 'Disk quota exceeded'],
]);

/** The system's word for an error, if it came from a system call, at any depth of causes. */
export function strerrorOf(error: unknown): string | undefined {
  let current: unknown = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    if (!isLamellaError(current) && 'code' in current && typeof current.code === 'string') {
      const text = STRERROR.get(current.code);
      if (text !== undefined) {
        return text;
      }
    }
    current = current.cause;
  }
  return undefined;
}
