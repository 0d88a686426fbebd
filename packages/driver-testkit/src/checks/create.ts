import {
  type CreateOptions,
  isLamellaError,
  type LamellaError,
  MemoryStorage,
  type OptionField,
  type OptionSchema,
  type OptionValue,
  parseOptions,
  WrappedStorage,
} from '@lamella/core';
import { pattern } from '../model/bytes.js';
import { CrashStorage } from '../storage/crash-storage.js';
import { FaultyStorage } from '../storage/faulty-storage.js';
import type { Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped, mustEqual, refusal } from './check.js';
import { memoryOf, mustBeSound, readAll } from './disks.js';
import { mapRange } from './extents.js';

const MIB = 2 ** 20;

/** Sizes of disks: from none to more than there is. */
const SIZES: readonly number[] = [
  0,
  1,
  511,
  512,
  513,
  1000,
  4096,
  65535,
  65536,
  65537,
  MIB,
  100 * MIB,
  2 ** 32 - 512,
  2 ** 32,
  2 ** 40,
  2 ** 43,
  2 ** 50,
  2 ** 53 - 512,
  2 ** 53 - 1,
];

const NO_SIZES: readonly number[] = [
  -1,
  -512,
  0.5,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 60,
];

/** Values for options of a type, good ones and bad ones: what is no good has to be refused. */
const VALUES: Readonly<Record<OptionField['type'], readonly OptionValue[]>> = {
  boolean: [true, false, 'on', 'off', 'yes', 1, ''],
  number: [
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    2 ** 32,
    0.5,
    Number.NaN,
    'x',
    '',
  ],
  size: [
    -1,
    0,
    1,
    2,
    256,
    511,
    512,
    513,
    1024,
    4095,
    4096,
    16384,
    65536,
    '64k',
    '2M',
    '4M',
    '64M',
    '1T',
    '8E',
    2 ** 53 - 1,
    0.5,
    Number.NaN,
    'x',
    '',
    '64q',
  ],
  string: ['', 'no such choice', 'x'.repeat(1000), 1, true],
};

/** Making images. */
export function createChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('create');
  if (subject.manifest.create === undefined) {
    return [];
  }
  for (const size of SIZES) {
    group.add('create-5', `${size} bytes`, () => makeOfSize(subject, size));
  }
  for (const size of NO_SIZES) {
    group.add('create-3', `${size} bytes: refused`, async () => {
      const creation = { ...subject.creation(MIB), size };
      const storage = new MemoryStorage();
      const error = await refusal(() => subject.create(storage, creation), `a size of ${size}`);
      must(/^(INVALID_ARGUMENT|LIMIT_EXCEEDED)$/.test(error.code), `the error is ${error.code}`);
      must(storage.size === 0, 'the storage was changed');
    });
  }
  addOptions(group, subject);
  addDurable(group, subject);
  addFailing(group, subject);
  addMeasure(group, subject);
  group.add('create-7', 'the storage stays open', async () => {
    const storage = new (class extends WrappedStorage {
      closed = false;
      override async close(): Promise<void> {
        this.closed = true;
      }
    })(new MemoryStorage());
    await subject.create(storage, subject.creation(MIB));
    must(!storage.closed, 'create closed the storage');
  });
  group.add('create-1', 'reported options', async () => {
    const creation = subject.creation(await subject.size());
    const storage = new MemoryStorage();
    await subject.create(storage, creation);
    const image = await subject.open(storage);
    for (const [name, value] of Object.entries(image.options)) {
      const wanted = creation.options[name];
      must(
        wanted === undefined || sameOption(subject, name, value, wanted),
        `'${name}' was made as ${wanted} and is reported as ${value}`,
      );
    }
    await image.close();
  });
  return group.checks;
}

/** A choice may be an alias of another: only whether both are choices can be told. */
function sameOption(
  subject: Subject,
  name: string,
  found: OptionValue,
  wanted: OptionValue,
): boolean {
  const choices = subject.driver().createOptions?.[name]?.choices;
  return found === wanted || choices?.includes(String(found)) === true;
}

/** Makes a disk and looks at it, or sees it refused. */
async function makeOfSize(subject: Subject, size: number): Promise<undefined> {
  const storage = new MemoryStorage({ maxBytes: 64 * MIB });
  const creation = subject.creation(size);
  const refused = await attempt(subject, storage, creation);
  if (refused !== undefined) {
    must(size > MIB || refused.code !== 'LIMIT_EXCEEDED', 'a small disk is too large');
    must(
      size > MIB,
      `refused, though disks of up to 1 MiB may be made up to the next sector: ${refused.message}`,
    );
    must(/^(INVALID_ARGUMENT|LIMIT_EXCEEDED|UNSUPPORTED)$/.test(refused.code), refused.message);
    return undefined;
  }
  const disk = await subject.disk(storage, { writable: await subject.can('write') });
  must(disk.size >= size && disk.size < size + 512, `${size} bytes became ${disk.size}`);
  const places = [0, Math.floor(disk.size / 2), disk.size - 1].filter(
    (at) => at >= 0 && at < disk.size,
  );
  const zero = new Uint8Array(1);
  for (const place of places) {
    const byte = Uint8Array.of(1);
    await disk.read(byte, place);
    mustEqual(byte, zero, `byte ${place} of a new image`);
  }
  if (await subject.can('write')) {
    const bytes = pattern(1, 0, Math.min(10, disk.size));
    await disk.write(bytes, disk.size - bytes.length);
    const found = new Uint8Array(bytes.length);
    await disk.read(found, disk.size - bytes.length);
    mustEqual(found, bytes, 'the last bytes');
  }
  await disk.close();
  await mustBeSound(subject, storage);
  return undefined;
}

/**
 * Makes an image; create and validateCreate have to agree.
 *
 * @returns the error when it was refused
 * @throws Error when it was refused too late
 */
async function attempt(
  subject: Subject,
  storage: MemoryStorage,
  creation: CreateOptions,
): Promise<LamellaError | undefined> {
  const driver = subject.driver();
  let refused: LamellaError | undefined;
  try {
    driver.validateCreate?.(creation);
  } catch (error) {
    refused = mustBeTyped(error, 'validateCreate');
  }
  try {
    await driver.create?.(storage, creation);
  } catch (error) {
    const { code, message } = mustBeTyped(error, 'create');
    must(storage.size === 0, `create refused (${message}) after it had changed the storage`);
    must(
      refused !== undefined || driver.validateCreate === undefined,
      `create refuses what validateCreate takes: ${message}`,
    );
    must(
      refused === undefined || refused.code === code,
      `validateCreate says ${refused?.code}, create ${code}`,
    );
    return isLamellaError(error) ? error : undefined;
  }
  must(refused === undefined, `create takes what validateCreate refuses: ${refused?.message}`);
  return undefined;
}

function addOptions(group: CheckGroup, subject: Subject): void {
  const schema: OptionSchema = subject.driver().createOptions ?? {};
  const untried = subject.manifest.create?.untried ?? [];
  const tried = Object.entries(schema).filter(([name]) => !untried.includes(name));
  for (const [name, field] of tried) {
    const choices = field.choices ?? (field.type === 'boolean' ? [true, false] : []);
    for (const choice of choices) {
      group.add('create-2', `${name}=${choice}`, () => tryOption(subject, name, choice));
    }
    for (const value of VALUES[field.type]) {
      const shown = typeof value === 'string' ? `'${value.slice(0, 20)}'` : value;
      group.add('create-3', `${name} is ${shown}`, () => tryOption(subject, name, value));
    }
  }
  group.add('create-3', 'an option that there is not', async () => {
    const { createOptions = {}, format } = subject.driver();
    const parse = () => parseOptions(createOptions, { 'no-such-option': 1 }, format);
    must((await refusal(parse, 'it')).code === 'INVALID_ARGUMENT', 'it is no INVALID_ARGUMENT');
  });
}

/** Makes an image with one option as given: a working image, or a refusal in time. */
async function tryOption(
  subject: Subject,
  name: string,
  value: OptionValue,
): Promise<string | undefined> {
  let creation: CreateOptions;
  try {
    creation = subject.creation(MIB, { options: { [name]: value } });
  } catch (error) {
    mustBeTyped(error, `${name}=${String(value)}`);
    return undefined;
  }
  const storage = new MemoryStorage({ maxBytes: 64 * MIB });
  if ((await attempt(subject, storage, creation)) !== undefined) {
    return undefined;
  }
  const disk = await subject.disk(storage);
  must(disk.size === MIB, `1 MiB became ${disk.size} bytes`);
  mustEqual(await readAll(disk), new Uint8Array(MIB), 'the new image');
  const reported = disk.layers[0]?.options[name];
  must(
    reported === undefined ||
      sameOption(subject, name, reported, creation.options[name] ?? reported),
    `'${name}' was made as ${creation.options[name]} and is reported as ${reported}`,
  );
  await disk.close();
  await mustBeSound(subject, storage, { kind: 'another' });
  return undefined;
}

function addDurable(group: CheckGroup, subject: Subject): void {
  group.add('create-4', 'a crash right after it', async () => {
    const storage = CrashStorage.from(new Uint8Array(0));
    const size = await subject.size();
    await subject.create(storage, subject.creation(size));
    const state = storage.stateAt(storage.moment, () => false);
    const disk = await subject.disk(state);
    must(disk.size === size, `after a crash the disk has ${disk.size} bytes, not ${size}`);
    mustEqual(await readAll(disk), new Uint8Array(size), 'after a crash the disk');
    await disk.close();
  });
  group.add('create-8', 'memory and file of a large disk', async () => {
    const storage = new MemoryStorage({ maxBytes: 64 * MIB });
    const creation = subject.creation(64 * 2 ** 30);
    if ((await attempt(subject, storage, creation)) !== undefined) {
      return 'a disk of 64 GiB is refused';
    }
    must(
      storage.allocatedBytes <= 40 * MIB,
      `an empty image takes ${storage.allocatedBytes} bytes`,
    );
    const image = await subject.open(storage);
    await mapRange(image, image.size - 4096, image.size);
    await image.close();
    return undefined;
  });
}

function addFailing(group: CheckGroup, subject: Subject): void {
  for (const method of ['write', 'truncate', 'writeZeroes', 'flush'] as const) {
    group.add('create-6', `a ${method} that fails`, async () => {
      for (let failing = 1; failing < 100; failing += 1) {
        let calls = 0;
        const storage = new FaultyStorage(new MemoryStorage(), (call) => {
          calls += call.method === method ? 1 : 0;
          return call.method === method && calls === failing;
        });
        try {
          await subject.create(storage, subject.creation(MIB));
          must(calls < failing, `${method} ${failing} failed, and create did not`);
          return failing === 1 ? `create makes no ${method}` : undefined;
        } catch (error) {
          const { code } = mustBeTyped(error, 'create');
          must(code === 'IO_ERROR', `the error of the storage became ${code}`);
        }
      }
      return undefined;
    });
  }
}

function addMeasure(group: CheckGroup, subject: Subject): void {
  for (const [what, share] of [
    ['nothing', 0],
    ['a third', 1 / 3],
    ['everything', 1],
  ] as const) {
    group.add('measure-1', `${what} written`, async () => {
      const driver = subject.driver();
      if (driver.measure === undefined || !(await subject.can('measure'))) {
        must(subject.manifest.abilities?.measure !== true, 'the driver has no measure');
        return 'the driver has no measure';
      }
      const size = await subject.size();
      const creation = subject.creation(size);
      const length = Math.floor(size * share);
      const data = async function* () {
        if (length > 0) {
          yield { offset: 0, length };
        }
      };
      const { options } = creation;
      const { required, fullyAllocated } = await driver.measure({ size, options, data: data() });
      must(required <= fullyAllocated, `required ${required} > fully allocated ${fullyAllocated}`);
      const storage = memoryOf(await subject.newImage(size));
      const disk = await subject.disk(storage, { writable: true });
      await disk.write(pattern(1, 0, length), 0);
      await disk.close();
      must(
        storage.size <= fullyAllocated,
        `the file has ${storage.size} of ${fullyAllocated} bytes`,
      );
      must(
        storage.size <= required,
        `the file has ${storage.size} bytes, more than the ${required} that were said to be required`,
      );
      must(
        share < 1 || storage.size >= required - (await subject.unit()),
        `the file has ${storage.size} bytes, required are ${required}`,
      );
      return undefined;
    });
  }
}
