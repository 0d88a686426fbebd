import {
  ChainResolver,
  type DetailValue,
  type ImageDetails,
  isLamellaError,
  type Layer,
  type SnapshotInfo,
  type Storage,
} from 'lamella';
import { type CommandDefinition, defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import { formatJson, type JsonValue } from '../../command-line/json.js';
import type { Session } from '../../command-line/session.js';
import { formatSize } from '../../command-line/size.js';
import { shownLocation } from '../../messages/open-failure.js';
import {
  assertOneNaming,
  CACHE,
  type CommonSettings,
  cacheMode,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  OUTPUT,
  onlyOperand,
} from '../common-options.js';
import type { ImageArgument, OpenableName } from '../image-name.js';
import { type OpenImage, openImage } from '../open-image.js';
import { snapshotTable } from '../snapshot-table.js';

/** Settings of `info`. */
export interface InfoSettings extends CommonSettings {
  chain?: boolean;
}

/** A file that an image lives in. */
export interface ChildNode {
  readonly name: string;
  readonly filename: string;
  readonly length: number;
  readonly allocated: number | undefined;
}

/** What `info` consists of. */
export const infoDefinition: CommandDefinition<InfoSettings> = {
  name: 'info',
  summary: 'Show what is known of an image',
  operands: 'FILE',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    {
      long: 'backing-chain',
      takesValue: false,
      help: 'show every image of the backing chain',
      apply(settings) {
        settings.chain = true;
      },
    },
    {
      long: 'limits',
      takesValue: false,
      help: 'accepted; nothing is known of limits of the storage',
      apply() {},
    },
    CACHE,
    FORCE_SHARE,
    OUTPUT,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const text = onlyOperand(operands);
    assertOneNaming(settings);
    const json = settings.output === 'json';
    const shown = await describeChain(session, text, settings);
    if (json) {
      const parts = shown.map((image) => jsonInfo(image, session));
      session.out(`${formatJson(settings.chain === true ? parts : (parts[0] ?? {}))}\n`);
    } else {
      session.out(shown.map((image) => humanInfo(image, session)).join('\n'));
    }
    return 0;
  },
};

/** `info`. */
export const info = defineCommand(infoDefinition);

/** One image, with what was asked of it while it was open. */
interface DescribedImage {
  readonly layer: Layer;
  /** Its format, or how a driver is called that shows a file as it is. */
  readonly format: string;
  /** Name that says how to open it again. */
  readonly filename: string;
  readonly children: readonly ChildNode[];
}

/** The image, and with `--backing-chain` those below it; each is opened alone. */
async function describeChain(
  session: Session,
  text: string,
  settings: InfoSettings,
): Promise<readonly DescribedImage[]> {
  const { imageOpts, forceShare } = settings;
  const cache = cacheMode(settings.cache);
  const options = {
    forceShare,
    cache,
    metadataOnly: true,
    alone: true,
    references: 'deny',
  } as const;
  const found: DescribedImage[] = [];
  const seen = new Set<string>();
  let next: ImageArgument | undefined = { text, format: settings.format, imageOpts };
  while (next !== undefined) {
    const { disk, layers, name }: OpenImage = await openImage(session, next, options);
    try {
      const [layer] = layers;
      const { identity, location } = layer.storage;
      if (seen.has(identity ?? location)) {
        throw new Failure(`Backing file '${location}' creates an infinite loop.`);
      }
      seen.add(identity ?? location);
      found.push({
        layer,
        format: name.protocol ?? layer.format,
        filename: fullFilename(layer, name),
        children: await childNodes(layer),
      });
      const { backing } = layer.image.references;
      next =
        settings.chain !== true || backing === undefined
          ? undefined
          : { text: fullName(backing.location, layer, session), format: backing.format };
    } finally {
      await disk.close();
    }
  }
  return found;
}

/** The location; a name of QEMU's where there is more to say: the secret, or which part of a file is meant. */
function fullFilename({ format, storage }: Layer, { secretId, options }: OpenableName): string {
  const said = [
    ['encrypt.key-secret', secretId],
    ['offset', options?.offset],
    ['driver', format],
    ['size', options?.size],
  ].flatMap(([key, value]) => (value === undefined ? [] : [`"${key}": ${JSON.stringify(value)}`]));
  const location = shownLocation(storage.location);
  return said.length === 1
    ? location
    : `json:{${said.join(', ')}, "file": {"driver": "file", "filename": ${JSON.stringify(location)}}}`;
}

/** The files that an image lives in. */
export async function childNodes({ storage, dataFile }: Layer): Promise<readonly ChildNode[]> {
  const file = await childNode('file', storage);
  return dataFile === undefined ? [file] : [file, await childNode('data-file', dataFile)];
}

async function childNode(name: string, storage: Storage): Promise<ChildNode> {
  return {
    name,
    filename: shownLocation(storage.location),
    length: storage.size,
    allocated: await storage.allocatedSize?.(),
  };
}

function humanInfo(described: DescribedImage, session: Session): string {
  const { layer, format, filename, children } = described;
  const { image } = layer;
  const { backing } = image.references;
  const allocated = children[0]?.allocated;
  const lines = [
    `image: ${filename}`,
    `file format: ${format}`,
    `virtual size: ${formatSize(image.size)} (${image.size} bytes)`,
    `disk size: ${allocated === undefined ? 'unavailable' : formatSize(allocated)}`,
    ...(image.encrypted === true ? ['encrypted: yes'] : []),
    ...(image.clusterSize > 1 ? [`cluster_size: ${image.clusterSize}`] : []),
    ...(isDirty(layer) ? ['cleanly shut down: no'] : []),
    ...(backing === undefined ? [] : [backingLine(backing.location, layer, session)]),
    ...(backing?.format === undefined ? [] : [`backing file format: ${backing.format}`]),
    ...snapshotLines(image.snapshots?.list() ?? []),
    ...(image.details === undefined
      ? []
      : ['Format specific information:', ...detailLines(image.details, '    ')]),
    ...children.flatMap(childLines),
  ];
  return `${lines.join('\n')}\n`;
}

/** QEMU says nothing of it for QED. */
function isDirty({ image, format }: Layer): boolean {
  return image.unclean === true && format !== 'qed';
}

function backingLine(reference: string, layer: Layer, session: Session): string {
  const full = fullName(reference, layer, session);
  return `backing file: ${reference}${full === reference ? '' : ` (actual path: ${full})`}`;
}

function snapshotLines(snapshots: readonly SnapshotInfo[]): readonly string[] {
  return snapshots.length === 0 ? [] : ['Snapshot list:', ...snapshotTable(snapshots)];
}

/** Facts one on a line, under their names in plain words. */
export function detailLines(details: ImageDetails, indent: string): readonly string[] {
  return Object.entries(details).flatMap(([name, value]) =>
    valueLines(name.replaceAll('-', ' '), value, indent),
  );
}

function valueLines(name: string, value: DetailValue, indent: string): readonly string[] {
  if (isList(value)) {
    const items = value.flatMap((item, index) => valueLines(`[${index}]`, item, `${indent}    `));
    return [`${indent}${name}:`, ...items];
  }
  return typeof value === 'object'
    ? [`${indent}${name}:`, ...detailLines(value, `${indent}    `)]
    : [`${indent}${name}: ${value}`];
}

function isList(value: DetailValue): value is readonly DetailValue[] {
  return Array.isArray(value);
}

function childLines({ name, filename, length, allocated }: ChildNode): readonly string[] {
  return [
    `Child node '/${name}':`,
    `    filename: ${filename}`,
    '    protocol type: file',
    `    file length: ${formatSize(length)} (${length} bytes)`,
    `    disk size: ${allocated === undefined ? 'unavailable' : formatSize(allocated)}`,
  ];
}

function jsonInfo(described: DescribedImage, session: Session): JsonValue {
  const { layer, format, filename, children } = described;
  const { image } = layer;
  const { backing } = image.references;
  const snapshots = image.snapshots?.list() ?? [];
  return {
    children: children.map(jsonChild),
    'backing-filename-format': backing?.format,
    snapshots: snapshots.length === 0 ? undefined : snapshots.map(jsonSnapshot),
    'virtual-size': image.size,
    filename,
    'cluster-size': image.clusterSize > 1 ? image.clusterSize : undefined,
    format,
    'actual-size': children[0]?.allocated,
    'format-specific':
      image.details === undefined ? undefined : { type: format, data: image.details },
    'full-backing-filename':
      backing === undefined ? undefined : fullName(backing.location, layer, session),
    'backing-filename': backing?.location,
    encrypted: image.encrypted === true ? true : undefined,
    'dirty-flag': isDirty(layer),
  };
}

function jsonChild({ name, filename, length, allocated }: ChildNode): JsonValue {
  return {
    name,
    info: {
      children: [],
      'virtual-size': length,
      filename,
      format: 'file',
      'actual-size': allocated,
      'format-specific': { type: 'file', data: {} },
      'dirty-flag': false,
    },
  };
}

function jsonSnapshot(snapshot: SnapshotInfo): JsonValue {
  const { id, name, vmStateSize, date, dateNanoseconds, vmClock, icount } = snapshot;
  return {
    icount,
    'vm-clock-nsec': vmClock % NANOSECONDS,
    name,
    'date-sec': Math.floor(date.getTime() / 1000),
    'date-nsec': dateNanoseconds,
    'vm-clock-sec': vmClock / NANOSECONDS,
    id,
    'vm-state-size': vmStateSize,
  };
}

const NANOSECONDS = 1_000_000_000n;

/** Where a reference leads; the text itself where that can't be told. */
export function fullName(reference: string, { storage }: Layer, { lamella }: Session): string {
  if (reference.startsWith('json:')) {
    return reference;
  }
  try {
    return lamella.container
      .resolve(ChainResolver)
      .resolveReference({ location: reference }, storage.location).location;
  } catch (error) {
    if (isLamellaError(error)) {
      return reference;
    }
    throw error;
  }
}
