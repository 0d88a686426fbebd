import type { ImageCommand } from '../command.js';
import { CommandFailure } from '../command-failure.js';

/** Nothing that Lamella opens has zones. */
export const ZONE_COMMANDS: readonly ImageCommand[] = (
  [
    [
      'zone_append',
      'zap',
      'off len [len..]',
      'append write a number of bytes at a specified offset',
    ],
    ['zone_close', 'zc', 'offset len', 'close a range of zones in zone block device'],
    ['zone_finish', 'zf', 'offset len', 'finish a range of zones in zone block device'],
    ['zone_open', 'zo', 'offset len', 'explicit open a range of zones in zone block device'],
    ['zone_report', 'zrp', 'offset number', 'report zone information'],
    ['zone_reset', 'zrs', 'offset len', 'reset a zone write pointer in zone block device'],
  ] as const
).map(
  ([name, alias, synopsis, summary]): ImageCommand => ({
    name,
    alias,
    synopsis,
    summary,
    words: [2, 2],
    needs: 'image',
    run() {
      throw new CommandFailure(`${name.replace('_', ' ')} failed: Operation not supported`);
    },
  }),
);
