/**
 * Looks at images that strangers uploaded before anything else is done with them: no file that an image names
 * is touched, memory and time are bounded, and whatever is not plainly in order is refused with a reason.
 */
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { isLamellaError, Lamella } from 'lamella';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const lamella = new Lamella();

// #region inspect
/** What uploads may be. Content of no known format counts as raw, so raw would take anything. */
const ACCEPTED = { formats: ['qcow2', 'qed'], maxSize: 64 * GiB, maxSeconds: 30 };

/** What is known of an upload that is in order. */
interface Upload {
  readonly format: string;
  readonly size: number;
  readonly dataBytes: number;
}

/** Why an upload is refused; its message is for the user who sent it. */
class Refusal extends Error {}

async function inspect(path: string): Promise<Upload> {
  const signal = AbortSignal.timeout(ACCEPTED.maxSeconds * 1000);

  // `deny`: of all files only this one is opened, whatever it says. Limits on tables, names and chains are
  // checked before memory is taken; `cacheSize` bounds the rest.
  await using disk = await lamella.open(path, { references: 'deny', cacheSize: 4 * MiB });
  const { format, size } = disk;
  if (!ACCEPTED.formats.includes(format)) {
    throw new Refusal(`the format ${format} is not accepted`);
  }
  const { backing, dataFile } = disk.layers[0]?.references ?? {};
  const other = backing ?? dataFile;
  if (other !== undefined) {
    throw new Refusal(`it names another file, '${other.location}'`);
  }
  if (size > ACCEPTED.maxSize) {
    throw new Refusal(`the disk has ${size / GiB} GiB`);
  }

  // Tables that contradict each other.
  const { corruptions, checkErrors } = await disk.check({ signal });
  if (corruptions + checkErrors > 0) {
    throw new Refusal(`it is damaged: ${corruptions} corruptions, ${checkErrors} errors`);
  }

  // Everything is mapped now, so that no surprise is left for whoever opens it next.
  let dataBytes = 0;
  for await (const { kind, length } of disk.extents({ signal })) {
    dataBytes += kind === 'zero' || kind === 'unallocated' ? 0 : length;
  }
  return { format, size, dataBytes };
}
// #endregion inspect

// #region report
/** Errors of the library name what is wrong; any other error is a fault of this program. */
async function report(path: string): Promise<void> {
  const name = basename(path).padEnd(18);
  try {
    const { format, size, dataBytes } = await inspect(path);
    console.log(`${name} accepted: ${format}, ${size / MiB} MiB, ${dataBytes / MiB} MiB of data`);
  } catch (error) {
    if (error instanceof Refusal) {
      console.log(`${name} refused: ${error.message}`);
    } else if (isLamellaError(error)) {
      console.log(`${name} refused: ${error.code}, ${error.problem}`);
    } else {
      throw error;
    }
  }
}
// #endregion report

const folder = await mkdtemp(join(tmpdir(), 'lamella-'));
const at = (name: string) => join(folder, name);

/** Overwrites a big-endian field. */
async function patch(path: string, offset: number, hex: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from(hex, 'hex'), 0, hex.length / 2, offset);
  await file.close();
}

async function create(name: string, format = 'qcow2', size = 64 * MiB): Promise<string> {
  const path = at(name);
  await lamella.create(path, { format, size });
  await using disk = await lamella.open(path, { format, writable: true });
  await disk.write(Buffer.alloc(MiB, 'data of a guest. '), 0);
  return path;
}

try {
  const uploads = [await create('good.qcow2'), await create('good.qed', 'qed')];

  await lamella.create(at('passwd.qcow2'), {
    format: 'qcow2',
    size: 64 * MiB,
    backing: { location: '/etc/passwd', format: 'raw' },
    uncheckedBacking: true,
  });
  uploads.push(at('passwd.qcow2'));

  await lamella.create(at('shadow.qcow2'), {
    format: 'qcow2',
    size: 64 * MiB,
    options: { data_file: at('shadow.raw') },
  });
  uploads.push(at('shadow.qcow2'));

  await lamella.create(at('vast.qcow2'), { format: 'qcow2', size: 8192 * GiB });
  uploads.push(at('vast.qcow2'));

  // Tables: one of 32 GiB, one that lies over the header, one that the file does not hold.
  uploads.push(await create('tables.qcow2'));
  await patch(at('tables.qcow2'), 36, 'ffffffff');
  uploads.push(await create('overlap.qcow2'));
  await patch(at('overlap.qcow2'), 0x30000, '8000000000000000');
  uploads.push(await create('cut.qcow2'));
  await truncate(at('cut.qcow2'), 0x30000);

  await writeFile(at('bomb.vmdk'), '# Disk DescriptorFile\nRW 1 FLAT "/etc/passwd" 0\n');
  uploads.push(at('bomb.vmdk'));

  for (const upload of uploads) {
    await report(upload);
  }
} finally {
  await rm(folder, { recursive: true });
}
