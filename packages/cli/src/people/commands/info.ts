import { type CommandDefinition, defineCommand } from '../../command-line/command.js';
import { type InfoSettings, infoDefinition } from '../../img/commands/info.js';
import { assertOneNaming, onlyOperand } from '../../img/common-options.js';
import { chainTree } from '../info/chain-tree.js';
import { describeChain } from '../info/describe-chain.js';
import { imageCard } from '../info/image-card.js';
import { coloursFor } from '../terminal/colours.js';

interface Settings extends InfoSettings {
  tree?: boolean;
}

const definition: CommandDefinition<Settings> = {
  ...infoDefinition,
  options: [
    {
      long: 'chain',
      takesValue: false,
      help: 'draw the backing chain as a tree',
      apply(settings) {
        settings.chain = true;
        settings.tree = true;
      },
    },
    ...infoDefinition.options,
  ],
  async run(session, settings, operands) {
    if (settings.output === 'json') {
      return infoDefinition.run(session, settings, operands);
    }
    assertOneNaming(settings);
    const entries = await describeChain(session, onlyOperand(operands), settings);
    const colours = coloursFor(1);
    session.out(
      settings.tree === true
        ? chainTree(entries, colours)
        : entries.map((entry) => imageCard(entry, colours)).join('\n'),
    );
    return 0;
  },
};

/** `info`, told for people. */
export const info = defineCommand(definition);
