import { Failure } from '../command-line/failure.js';
import { Getopt, type GetoptOption } from '../command-line/getopt.js';
import { complain, type Session } from '../command-line/session.js';
import { COMMANDS } from './commands/index.js';
import { warnOfWordsAlone } from './commands/open.js';
import { openForShell } from './open-image.js';
import { OpenSettings } from './open-settings.js';
import { requestProblem } from './problem-text.js';
import { Shell } from './shell.js';

/** Options in the order in which ambiguous ones are listed. */
const OPTIONS: readonly GetoptOption[] = [
  { short: 'h', long: 'help', takesValue: false },
  { short: 'V', long: 'version', takesValue: false },
  { short: 'c', long: 'cmd', takesValue: true },
  { short: 'f', long: 'format', takesValue: true },
  { short: 'r', long: 'read-only', takesValue: false },
  { short: 's', long: 'snapshot', takesValue: false },
  { short: 'n', long: 'nocache', takesValue: false },
  { short: 'C', long: 'copy-on-read', takesValue: false },
  { short: 'm', long: 'misalign', takesValue: false },
  { short: 'k', long: 'native-aio', takesValue: false },
  { short: 'i', long: 'aio', takesValue: true },
  { short: 't', long: 'cache', takesValue: true },
  { short: 'd', long: 'discard', takesValue: true },
  { short: 'T', long: 'trace', takesValue: true },
  { short: 'U', long: 'force-share', takesValue: false },
  { long: 'object', takesValue: true },
  { long: 'image-opts', takesValue: false },
];

const USAGE = `[OPTIONS]... [-c STRING]... [file]
QEMU Disk exerciser

  --object OBJECTDEF   define an object such as 'secret' for
                       passwords and/or encryption keys
  --image-opts         treat file as option string
  -c, --cmd STRING     execute command with its arguments
                       from the given string
  -f, --format FMT     specifies the block driver to use
  -r, --read-only      export read-only
  -s, --snapshot       use snapshot file
  -n, --nocache        disable host cache, short for -t none
  -C, --copy-on-read   enable copy-on-read
  -m, --misalign       misalign allocations for O_DIRECT
  -k, --native-aio     use kernel AIO implementation
                       (Linux only, prefer use of -i)
  -i, --aio=MODE       use AIO mode (threads, native or io_uring)
  -t, --cache=MODE     use the given cache mode for the image
  -d, --discard=MODE   use the given discard mode for the image
  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]
                       specify tracing options
                       see qemu-img(1) man page for full description
  -U, --force-share    force shared permissions
  -h, --help           display this help and exit
  -V, --version        output version information and exit

`;

/** What the program gets from its surroundings beside the session. */
export interface Surroundings {
  /** Version to print. */
  readonly version: string;
  /** Lines of standard input. */
  readonly lines: () => AsyncIterable<string>;
}

/** What the command line asks for. */
interface Invocation {
  readonly commands: readonly string[];
  readonly settings: OpenSettings;
  readonly format: string | undefined;
  readonly imageOpts: boolean;
  readonly image: string | undefined;
}

/**
 * `lamella-io`: opens an image, runs commands on it, and closes it.
 *
 * @param words - the command line
 * @returns the exit code
 */
export async function runIo(
  session: Session,
  words: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const shell = new Shell(session, COMMANDS);
  try {
    const invocation = readInvocation(session, words, surroundings);
    if (typeof invocation === 'number') {
      return invocation;
    }
    await openImage(shell, invocation);
    const good = await runCommands(shell, invocation.commands, surroundings);
    return (await closed(shell)) && good ? 0 : 1;
  } catch (error) {
    await shell.close().catch(() => undefined);
    if (error instanceof Failure) {
      complain(session, error.message);
      return error.exitCode;
    }
    throw error;
  }
}

function readInvocation(
  session: Session,
  words: readonly string[],
  { version }: Surroundings,
): Invocation | number {
  const commands: string[] = [];
  const settings = new OpenSettings();
  let format: string | undefined;
  let imageOpts = false;
  const getopt = new Getopt(words, OPTIONS);
  for (let next = getopt.next(); next !== undefined; next = getopt.next()) {
    if (next.kind !== 'option') {
      session.error(`${session.name}: ${next.message}\n`);
      session.out(usage(session));
      return 1;
    }
    const { value } = next;
    switch (next.option.short ?? next.option.long) {
      case 'h':
        session.out(usage(session));
        return 0;
      case 'V':
        session.out(`${session.name} version ${version}\n`);
        return 0;
      case 'c':
        commands.push(value);
        break;
      case 'f':
        format = value;
        break;
      case 'T':
        warnOfTrace(session, value);
        break;
      case 'object':
        session.secrets.define(value);
        break;
      case 'image-opts':
        imageOpts = true;
        break;
      default:
        settings.take(next.option.short ?? '', value);
    }
  }
  const [image, ...others] = getopt.operands;
  if (others.length > 0) {
    session.out(usage(session));
    return 1;
  }
  if (imageOpts && format !== undefined) {
    throw new Failure('--image-opts and -f are mutually exclusive');
  }
  return { commands, settings, format, imageOpts, image };
}

function usage({ name }: Session): string {
  return `Usage: ${name} ${USAGE}See '${name} -c help' for information on available commands.\n${reportBugs(name)}`;
}

/** Scripts that call the program by its other name get the whole of that one's text. */
function reportBugs(name: string): string {
  return name === 'qemu-io'
    ? '\nSee <https://qemu.org/contribute/report-a-bug> for how to report bugs.\n' +
        'More information on the QEMU project at <https://qemu.org>.\n'
    : '';
}

/** There are no events to trace here, so no pattern fits any. */
function warnOfTrace(session: Session, value: string): void {
  const pattern = /^(?:enable=)?([^,=]+)$/.exec(value)?.[1];
  if (pattern !== undefined && !pattern.includes('*')) {
    complain(session, `warning: trace event '${pattern}' does not exist`);
  }
}

async function openImage(
  shell: Shell,
  { settings, format, imageOpts, image }: Invocation,
): Promise<void> {
  if (image === undefined) {
    return;
  }
  if (imageOpts) {
    warnOfWordsAlone(shell, image);
  }
  const name = imageOpts
    ? { path: undefined, format: undefined, options: image }
    : { path: image, format, options: undefined };
  shell.image = await openForShell(shell.session, settings.request(name));
}

async function runCommands(
  shell: Shell,
  commands: readonly string[],
  surroundings: Surroundings,
): Promise<boolean> {
  if (commands.length === 0) {
    return runScript(shell, surroundings);
  }
  let good = true;
  for (const command of commands) {
    good = (await shell.run(command)) && good;
    if (shell.finished) {
      break;
    }
  }
  return good;
}

/** Commands from standard input, each behind a prompt. */
async function runScript(shell: Shell, { lines }: Surroundings): Promise<boolean> {
  const prompt = `${shell.session.name}> `;
  let good = true;
  shell.session.out(prompt);
  for await (const line of lines()) {
    good = (await shell.run(line)) && good;
    if (shell.finished) {
      return good;
    }
    shell.session.out(prompt);
  }
  return good;
}

/** Closes the image and says what went wrong. */
async function closed(shell: Shell): Promise<boolean> {
  const format = shell.image?.disk.format;
  try {
    await shell.close();
    return true;
  } catch (error) {
    for (const text of closeProblems(format, error)) {
      complain(shell.session, text);
    }
    return false;
  }
}

/** What QEMU says when it can't write the last metadata of a qcow2 image; there is no text of its for others. */
function closeProblems(format: string | undefined, error: unknown): readonly string[] {
  if (format !== 'qcow2') {
    return [error instanceof Error ? error.message : String(error)];
  }
  const problem = requestProblem(error);
  return ['L2 table', 'refcount block'].map(
    (name) => `Failed to flush the ${name} cache: ${problem}`,
  );
}
