// Values of the Linux ABI, the same on every 64-bit architecture.

/** `lseek` to the end. */
export const SEEK_END = 2;
/** `lseek` to the next data. */
export const SEEK_DATA = 3;
/** `lseek` to the next hole. */
export const SEEK_HOLE = 4;

/** `fallocate` leaves the file's length alone. */
export const FALLOC_FL_KEEP_SIZE = 0x01;
/** `fallocate` gives the space back; needs `FALLOC_FL_KEEP_SIZE`. */
export const FALLOC_FL_PUNCH_HOLE = 0x02;
/** `fallocate` zeroes the range and keeps its space reserved. */
export const FALLOC_FL_ZERO_RANGE = 0x10;

/** Numbers of `errno` that decide how to go on; all others become errors. */
export const ERRNO = {
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EAGAIN: 11,
  EACCES: 13,
  EXDEV: 18,
  EINVAL: 22,
  ENOLCK: 37,
  ENOSYS: 38,
  EOPNOTSUPP: 95,
} as const;
