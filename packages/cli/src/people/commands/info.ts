import { type Command, type CommandOption, defineCommand } from '../../command-line/command.js';
import { type InfoSettings, infoDefinition } from '../../img/commands/info.js';
import { assertOneNaming, onlyOperand } from '../../img/common-options.js';
import { chainTree } from '../info/chain-tree.js';
import { describeChain } from '../info/describe-chain.js';
import { imageCard } from '../info/image-card.js';
import type { Colours } from '../terminal/colours.js';

interface Settings extends InfoSettings {
  tree?: boolean;
}

/**
 * `info`, told for people.
 *
 * @param colours - for standard output
 */
export function infoIn(colours: Colours): Command {
  return defineCommand<Settings>({
    ...infoDefinition,
    options: [CHAIN, ...infoDefinition.options],
    async run(session, settings, operands) {
      if (settings.output === 'json') {
        return infoDefinition.run(session, settings, operands);
      }
      assertOneNaming(settings);
      const entries = await describeChain(session, onlyOperand(operands), settings);
      session.out(
        settings.tree === true
          ? chainTree(entries, colours)
          : entries.map((entry) => imageCard(entry, colours)).join('\n'),
      );
      return 0;
    },
  });
}

const CHAIN: CommandOption<Settings> = {
  long: 'chain',
  takesValue: false,
  help: 'draw the backing chain as a tree',
  apply(settings) {
    settings.chain = true;
    settings.tree = true;
  },
};
