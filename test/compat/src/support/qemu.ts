import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { needs } from '@lamella/test-support';

const execute = promisify(execFile);
const MAX_OUTPUT = 16 * 1024 * 1024;

/** Formats that these tests know. */
export type Format = 'raw' | 'qcow2' | 'qed';

/** Values of create options. */
export type Options = Readonly<Record<string, string | number | boolean>>;

/** A backing file. */
export interface Backing {
  readonly path: string;
  readonly format: Format;
}

/** What `qemu-img check` found. */
export interface CheckReport {
  readonly corruptions: number;
  readonly leaks: number;
  readonly checkErrors: number;
  /** Data clusters in use, where the format counts them. */
  readonly allocatedClusters: number;
}

/** For tests that need QEMU. */
export const needsQemu = needs('qemu-img', 'qemu-io', 'qemu-nbd');

/**
 * Runs a tool of QEMU.
 *
 * @throws with the output when it fails
 */
export async function run(tool: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(tool, args, { maxBuffer: MAX_OUTPUT });
  return stdout;
}

/** Makes an image. */
export async function qemuCreate(
  path: string,
  format: Format,
  size: number,
  options: Options = {},
  backing?: Backing,
): Promise<void> {
  const list = Object.entries(options).map(([name, value]) => `${name}=${text(value)}`);
  await run('qemu-img', [
    'create',
    '-q',
    ...['-f', format],
    ...(list.length === 0 ? [] : ['-o', list.join(',')]),
    ...(backing === undefined ? [] : ['-b', backing.path, '-F', backing.format]),
    path,
    String(size),
  ]);
}

/**
 * Runs qemu-io commands on an image, one after the other.
 *
 * @throws when one fails: qemu-io itself says so in its output only
 */
export async function qemuIo(
  path: string,
  format: Format,
  commands: readonly string[],
): Promise<string> {
  // `unmap` lets discards reach the format; otherwise qemu-io drops them.
  const args = ['-f', format, '-d', 'unmap', ...commands.flatMap((command) => ['-c', command])];
  const output = await run('qemu-io', [...args, path]);
  if (/failed|error|mismatch/i.test(output)) {
    throw new Error(`qemu-io ${commands.join('; ')}: ${output}`);
  }
  return output;
}

/** The whole disk as QEMU reads it. */
export async function qemuRead(path: string, format: Format): Promise<Uint8Array> {
  const raw = `${path}.converted`;
  await qemuConvert(path, format, raw, 'raw');
  const bytes = await readFile(raw);
  await rm(raw);
  return bytes;
}

/** Copies a disk into a new image. */
export async function qemuConvert(
  from: string,
  fromFormat: Format,
  to: string,
  toFormat: Format,
  ...extra: readonly string[]
): Promise<void> {
  await run('qemu-img', ['convert', '-U', '-f', fromFormat, '-O', toFormat, ...extra, from, to]);
}

/**
 * Compares two disks.
 *
 * @returns what qemu-img says; `Images are identical.` if they are
 */
export async function qemuCompare(
  left: string,
  leftFormat: Format,
  right: string,
  rightFormat: Format,
): Promise<string> {
  const args = ['compare', '-f', leftFormat, '-F', rightFormat, left, right];
  return (await tolerant('qemu-img', args)).trim();
}

/**
 * Checks an image.
 *
 * @param repair - `-r all` as well; the report then is what was left after it
 */
export async function qemuCheck(
  path: string,
  format: Format,
  repair = false,
): Promise<CheckReport> {
  const mend = repair ? ['-r', 'all'] : [];
  const output = await tolerant('qemu-img', [
    'check',
    '--output=json',
    ...mend,
    ...['-f', format, path],
  ]);
  const start = output.indexOf('{');
  if (start < 0) {
    throw new Error(`qemu-img check: ${output}`);
  }
  const report: unknown = JSON.parse(output.slice(start));
  return {
    corruptions: count(report, 'corruptions'),
    leaks: count(report, 'leaks'),
    checkErrors: count(report, 'check-errors'),
    allocatedClusters: count(report, 'allocated-clusters'),
  };
}

/** What a check found, or undefined where the image is without fault. */
export function faults(report: CheckReport): string | undefined {
  const { corruptions, leaks, checkErrors } = report;
  return corruptions + leaks + checkErrors === 0
    ? undefined
    : `${corruptions} corruptions, ${leaks} leaks, ${checkErrors} check errors`;
}

/** Output of a tool whose exit code is part of its answer. */
async function tolerant(tool: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(tool, args, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') {
        reject(error);
      } else {
        resolve(stdout === '' ? stderr : stdout);
      }
    });
  });
}

function count(report: unknown, name: string): number {
  if (typeof report !== 'object' || report === null) {
    return 0;
  }
  const value: unknown = Reflect.get(report, name);
  return typeof value === 'number' ? value : 0;
}

function text(value: string | number | boolean): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
}
