import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import {
  type CommandDefinition,
  type CommandOption,
  defineCommand,
} from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import type { Session } from '../../command-line/session.js';
import { type MapSettings, mapDefinition } from '../../img/commands/map.js';
import { assertOneNaming, onlyOperand } from '../../img/common-options.js';
import { isOpen } from '../../img/is-open.js';
import { openImage } from '../../img/open-image.js';
import { progressOf } from '../../img/progress.js';
import { strerrorOf } from '../../messages/errno.js';
import { collectPicture } from '../picture/collect.js';
import { drawHtml } from '../picture/html.js';
import type { Picture } from '../picture/picture.js';
import { drawSvg } from '../picture/svg.js';

interface Settings extends MapSettings {
  svg?: string;
  html?: string;
}

const SVG: CommandOption<Settings> = {
  long: 'svg',
  takesValue: true,
  metavar: 'FILE',
  help: 'write a picture of where the data are, as SVG; - for standard output',
  apply(settings, value) {
    settings.svg = value;
  },
};

const HTML: CommandOption<Settings> = {
  long: 'html',
  takesValue: true,
  metavar: 'FILE',
  help: 'write the picture as a web page that tells more under the pointer',
  apply(settings, value) {
    settings.html = value;
  },
};

const definition: CommandDefinition<Settings> = {
  ...mapDefinition,
  options: [SVG, HTML, ...mapDefinition.options],
  async run(session, settings, operands) {
    if (settings.svg === undefined && settings.html === undefined) {
      return mapDefinition.run(session, settings, operands);
    }
    assertOneNaming(settings);
    await draw(session, settings, onlyOperand(operands));
    return 0;
  },
};

/** `map`, which draws pictures, too. */
export const map = defineCommand(definition);

async function draw(session: Session, settings: Settings, text: string): Promise<void> {
  const { format, imageOpts, forceShare } = settings;
  const image = await openImage(
    session,
    { text, format, imageOpts },
    // A picture of what is there is worth having when something is not.
    { forceShare, metadataOnly: true, references: 'skip' },
  );
  const { disk } = image;
  try {
    const files = [settings.svg, settings.html].filter((file) => file !== undefined);
    for (const file of files) {
      if (file !== '-' && (await isOpen(session, [image], file))) {
        throw new Failure(`${file}: this is an image that the picture would show`);
      }
    }
    const offset = Math.min(settings.start ?? 0, disk.size);
    const length = Math.min(settings.length ?? disk.size, disk.size - offset);
    const progress = progressOf(session, {}, { title: 'map', unit: 'steps' });
    let picture: Picture;
    try {
      const { signal } = session;
      const onProgress = progress.update;
      picture = await collectPicture({ title: text, disk, offset, length, signal, onProgress });
      progress.finish();
    } catch (error) {
      progress.end();
      throw error;
    }
    write(session, settings.svg, () => drawSvg(picture));
    write(session, settings.html, () => drawHtml(picture));
  } finally {
    await disk.close();
  }
}

/** Writes a file in one go: it is there whole or not at all. */
function write(session: Session, file: string | undefined, content: () => string): void {
  if (file === undefined) {
    return;
  }
  if (file === '-') {
    session.out(content());
    return;
  }
  const beside = `${file}.${process.pid}.tmp`;
  try {
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === false) {
      // A device or a pipe takes it as it comes.
      writeFileSync(file, content());
      return;
    }
    writeFileSync(beside, content(), { flag: 'wx' });
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new Failure(`Could not write '${file}': ${strerrorOf(error) ?? String(error)}`);
  }
}
