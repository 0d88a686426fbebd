import type { Command } from '../../command-line/command.js';
import { COMMANDS as IMG_COMMANDS } from '../../img/commands/index.js';
import { completionOf } from './completion.js';
import { info } from './info.js';
import { map } from './map.js';

/** Commands that do more here than in `lamella-img`. */
const OWN: readonly Command[] = [info, map];

const ABOUT_IMAGES: readonly Command[] = [
  ...IMG_COMMANDS.filter(({ name }) => !OWN.some((own) => own.name === name)),
  ...OWN,
];

/** The commands of `lamella`. */
export const COMMANDS: readonly Command[] = [...ABOUT_IMAGES, completionOf(ABOUT_IMAGES)];
