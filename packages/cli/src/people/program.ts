import { Command as CommanderCommand, type HelpConfiguration, Option } from 'commander';
import type { Command, CommandRun } from '../command-line/command.js';
import type { Session } from '../command-line/session.js';
import { VERSION } from '../version.js';
import { errorText } from './report/report.js';
import type { Colours } from './terminal/colours.js';

/** How the program writes. */
export interface ProgramStyle {
  /** For standard output. */
  readonly out: Colours;
  /** For standard error. */
  readonly error: Colours;
  /** Columns to fit help texts into. */
  readonly columns: number;
}

/** What a command line has led to. */
export interface Outcome {
  exitCode: number;
  /** The command that was run. */
  command: string | undefined;
}

/**
 * Makes the program of all commands, for commander to read command lines with.
 *
 * @param outcome - is told which command runs and how it ends
 */
export function makeProgram(
  session: Session,
  commands: readonly Command[],
  style: ProgramStyle,
  outcome: Outcome,
): CommanderCommand {
  const program = new Spelled(session.name)
    .description('Virtual disk images: look at them, make, change and convert them.')
    .version(`${session.name} ${VERSION}`, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    // Taken out of the words before they come here, wherever it stands.
    .option('--driver <PACKAGE>', 'add the formats of a package; may be given several times')
    .helpCommand('help [COMMAND]', 'show the help of a command')
    .usage('COMMAND [OPTIONS] …')
    .addHelpText('after', `\n${examples(session.name, style)}`)
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureHelp(helpStyle(style))
    .configureOutput({
      writeOut: (text) => session.out(text),
      writeErr: (text) => session.error(text),
      getOutHelpWidth: () => style.columns,
      getErrHelpWidth: () => style.columns,
      // They are told by `outputError`, or by the colours of the style.
      getOutHasColors: () => true,
      getErrHasColors: () => true,
      outputError: (text, write) => write(commanderError(text, style.error)),
    });
  for (const command of commands) {
    addCommand(program, session, command, style, outcome);
  }
  return program;
}

function helpStyle({ out }: ProgramStyle): HelpConfiguration {
  return {
    sortSubcommands: true,
    subcommandTerm: (command) => command.name(),
    styleTitle: (text) => out.bold(text),
    styleCommandText: (text) => out.bold(text),
    styleSubcommandText: (text) => out.cyan(text),
    styleOptionText: (text) => out.cyan(text),
    styleArgumentText: (text) => out.yellow(text),
  };
}

function addCommand(
  program: CommanderCommand,
  session: Session,
  command: Command,
  style: ProgramStyle,
  outcome: Outcome,
): void {
  const run = command.begin(session);
  const sub = program
    .command(command.name)
    .description(`${command.summary}.`)
    .summary(command.summary)
    .usage(`[OPTIONS] ${command.operands}`)
    .helpOption('-h, --help', 'show this help')
    .argument('[operands...]')
    .configureHelp({ ...helpStyle(style), visibleArguments: () => [] })
    .allowExcessArguments();
  addOptions(sub, run);
  sub.action(async (operands: string[]) => {
    outcome.command = command.name;
    outcome.exitCode = await run.run(operands);
  });
}

/** Each option is taken when it is met, so that they keep their order. */
function addOptions(sub: CommanderCommand, run: CommandRun): void {
  for (const { short, long, metavar, takesValue, help, take } of run.options) {
    const names = [
      ...(short === undefined ? [] : [`-${short}`]),
      ...(long === undefined ? [] : [`--${long}`]),
    ];
    const value = takesValue ? ` <${metavar ?? 'VALUE'}>` : '';
    const option = new Option(`${names.join(', ')}${value}`, help);
    sub.addOption(option);
    sub.on(`option:${option.name()}`, (text: string | null | undefined) => take(text ?? ''));
  }
}

/** Reads long options that are cut short, as far as they are unambiguous: scripts for qemu-img do that. */
class Spelled extends CommanderCommand {
  override createCommand(name?: string): CommanderCommand {
    return new Spelled(name);
  }

  override parseOptions(argv: string[]): ReturnType<CommanderCommand['parseOptions']> {
    return super.parseOptions(spellOut(argv, this.options));
  }
}

function spellOut(argv: readonly string[], options: readonly Option[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((word, index) => {
    const before = argv[index - 1] ?? '';
    const isValue = options.some(
      (option) => option.required && (option.short === before || option.long === before),
    );
    if (isValue || !word.startsWith('--') || word === '--' || (end >= 0 && index > end)) {
      return word;
    }
    const [name = '', ...value] = word.split('=');
    const found = options.filter(({ long }) => long?.startsWith(name));
    const [only] = found;
    return found.length === 1 && only?.long != null ? [only.long, ...value].join('=') : word;
  });
}

/** Commander's texts are `error: …` and perhaps `(Did you mean …?)`. */
function commanderError(text: string, colours: Colours): string {
  const match = /^error: (.*?)\n?(?:\((Did you mean .*)\))?\s*$/s.exec(text);
  return match === null ? text : errorText(match[1] ?? '', match[2], colours);
}

function examples(name: string, { out }: ProgramStyle): string {
  return [
    out.bold('Examples:'),
    `  ${name} info --chain disk.qcow2                   what there is, layer by layer`,
    `  ${name} convert -O qcow2 -c disk.raw disk.qcow2   a compressed copy`,
    `  ${name} map --html disk.html disk.qcow2           a picture of where the data are`,
    `  ${name} check -r all disk.qcow2                   look for damage, and repair it`,
    `  source <(${name} completion bash)                 completion for this shell`,
    '',
  ].join('\n');
}
