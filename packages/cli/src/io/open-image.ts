import { ChainResolver, Disk, isLamellaError, type Lamella } from 'lamella';
import { Failure } from '../command-line/failure.js';
import { parseOptionList } from '../command-line/option-list.js';
import type { Session } from '../command-line/session.js';
import { type OpenableName, readImageName } from '../img/image-name.js';
import {
  assertFits,
  imageOf,
  openProblem,
  WORKING_DIRECTORY,
  warnIfGuessed,
  warnOf,
} from '../img/open-image.js';
import { sharingOf } from '../img/sharing.js';
import { OpenedImage, type OpenRequest } from './opened-image.js';

/**
 * Opens an image for the shell.
 *
 * @param again - what there is to warn of was said before
 * @throws Failure `can't open device NAME: …`
 */
export async function openForShell(
  session: Session,
  request: OpenRequest,
  again = false,
): Promise<OpenedImage> {
  const { path, writable, snapshot } = request;
  const label = path === undefined ? "can't open" : `can't open device ${path}`;
  const writesFile = writable && !snapshot;
  let name: OpenableName | undefined;
  try {
    if (request.copyOnRead && !writable) {
      throw new Failure("Can't use copy-on-read on read-only device");
    }
    assertWritable(request);
    if (request.nativeAio && libraryCache(request) !== 'none') {
      throw new Failure(
        'aio=native was specified, but it requires cache.direct=on, which was not specified.',
      );
    }
    name = nameOf(session, request);
    const forceShare = sharingOf(request, name, '-U');
    warnOf(session, name);
    const chain = await session.lamella.container.resolve(ChainResolver).open(imageOf(name), {
      passphrase: name.passphrase,
      passphrases: name.passphrases,
      dataFilesBeside: WORKING_DIRECTORY,
      writable: writesFile,
      forceShare,
      cache: libraryCache(request),
    });
    await assertFits(name, chain.layers);
    const [top] = chain.layers;
    if (writesFile && name.format === undefined && !again) {
      warnIfGuessed(session, path ?? top.storage.location, top);
    }
    const disk = new Disk(chain.layers, [], chain.missing);
    return snapshot
      ? await overlay(session.lamella, request, disk)
      : new OpenedImage(request, disk);
  } catch (error) {
    const seen = name === undefined ? undefined : seenFrom(name, error);
    const problem = openProblem(error, seen, writesFile);
    throw problem === undefined ? error : new Failure(`${label}: ${problem}`);
  }
}

async function overlay(lamella: Lamella, request: OpenRequest, below: Disk): Promise<OpenedImage> {
  try {
    return new OpenedImage(request, await lamella.overlay(below), below);
  } catch (error) {
    await below.close().catch(() => undefined);
    throw error;
  }
}

/**
 * The shell makes changes durable itself, and may be told otherwise while the image is open; past the page
 * cache or not is the library's.
 */
function libraryCache({ cache }: OpenRequest): 'writeback' | 'none' | 'unsafe' {
  switch (cache) {
    case 'none':
    case 'directsync':
      return 'none';
    case 'unsafe':
      return 'unsafe';
    default:
      return 'writeback';
  }
}

function nameOf(session: Session, { path, format, options }: OpenRequest): OpenableName {
  if (options === undefined) {
    return readImageName({ text: path ?? '', format }, session.secrets);
  }
  // A word alone at the beginning is a flag.
  const text = options.replace(/^([^=,]+)(?=,|$)/, '$1=on');
  return path === undefined
    ? readImageName({ text, imageOpts: true }, session.secrets)
    : readImageName({ text: path, options: text }, session.secrets);
}

/** A filter is not the file that an error speaks of: what is under it counts as the image itself. */
function seenFrom(name: OpenableName, error: unknown): OpenableName {
  const filter = /^(blkdebug|json):/.test(name.location);
  return filter && isLamellaError(error) ? { ...name, location: error.location ?? '' } : name;
}

/** `read-only=on` among the options goes with `-r` only. */
function assertWritable({ options, writable }: OpenRequest): void {
  const readOnly = parseOptionList(options ?? '').some(
    ({ name, value }) => name === 'read-only' && (value ?? 'on') === 'on',
  );
  if (readOnly && writable) {
    throw new Failure('Block node is read-only');
  }
}
