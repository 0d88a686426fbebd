import type { IoCommand } from '../command.js';
import { AIO_DISCARD, AIO_FLUSH, AIO_READ, AIO_WRITE } from './aio.js';
import { BREAK, REMOVE_BREAK, RESUME, WAIT_BREAK } from './breakpoints.js';
import { HELP } from './help.js';
import { FLUSH, INFO, LENGTH, TRUNCATE } from './image.js';
import { CLOSE, OPEN, REOPEN } from './open.js';
import { ABORT, QUIT, SIGRAISE, SLEEP } from './process.js';
import { READ, READV } from './read.js';
import { ALLOC, DISCARD, MAP } from './space.js';
import { WRITE, WRITEV } from './write.js';
import { ZONE_COMMANDS } from './zones.js';

/** All commands, by name. */
export const COMMANDS: readonly IoCommand[] = [
  ABORT,
  AIO_DISCARD,
  AIO_FLUSH,
  AIO_READ,
  AIO_WRITE,
  ALLOC,
  BREAK,
  CLOSE,
  DISCARD,
  FLUSH,
  HELP,
  INFO,
  LENGTH,
  MAP,
  OPEN,
  QUIT,
  READ,
  READV,
  REMOVE_BREAK,
  REOPEN,
  RESUME,
  SIGRAISE,
  SLEEP,
  TRUNCATE,
  WAIT_BREAK,
  WRITE,
  WRITEV,
  ...ZONE_COMMANDS,
];
