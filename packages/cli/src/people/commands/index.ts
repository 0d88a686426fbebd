import type { Command } from '../../command-line/command.js';
import { COMMANDS as IMG_COMMANDS } from '../../img/commands/index.js';
import type { Colours } from '../terminal/colours.js';
import { completionOf } from './completion.js';
import { infoIn } from './info.js';
import { map } from './map.js';

/**
 * The commands of `lamella`: those of `lamella-img`, of which some do more here.
 *
 * @param colours - for standard output
 */
export function commandsIn(colours: Colours): readonly Command[] {
  const own = [infoIn(colours), map];
  const commands = [
    ...IMG_COMMANDS.filter(({ name }) => !own.some((one) => one.name === name)),
    ...own,
  ];
  return [...commands, completionOf(commands)];
}
