import { MemoryStorage, type OptionSchema, parseOptions } from '@lamella/core';
import type { Abilities } from '../subject/manifest.js';
import type { Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustEqual } from './check.js';
import { readAll } from './disks.js';

/** Which method an ability is. */
const METHODS: readonly (readonly [
  keyof Abilities,
  'place' | 'zero' | 'discard' | 'resize' | 'check',
])[] = [
  ['write', 'place'],
  ['zero', 'zero'],
  ['discard', 'discard'],
  ['resize', 'resize'],
  ['check', 'check'],
];

/** What the driver object says of itself. */
export function driverChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('driver');
  group.add('driver-1', 'the name of the format', async () => {
    const { format } = subject.driver();
    must(/^[a-z0-9][a-z0-9._-]*$/.test(format), `the format is called '${format}'`);
    must(subject.driver().format === format, 'another instance has another name');
  });
  for (const which of ['createOptions', 'openOptions', 'amendOptions'] as const) {
    group.add('driver-2', which, async () => {
      const schema = subject.driver()[which];
      return schema === undefined ? `the driver has no ${which}` : checkSchema(schema);
    });
  }
  for (const [ability, method] of METHODS) {
    const said = subject.manifest.abilities?.[ability];
    if (said !== undefined) {
      group.add('driver-4', said ? `can ${ability}` : `can't ${ability}`, async () => {
        const [sample] = subject.samples;
        must(sample !== undefined, 'the manifest has no image');
        const storage = MemoryStorage.from((await sample.get()).image);
        const image = await subject.open(storage, { writable: said || storage.writable });
        must(
          (image[method] !== undefined) === said,
          said ? `the image has no method '${method}'` : `the image has a method '${method}'`,
        );
        await image.close();
      });
    }
  }
  for (const sample of subject.samples) {
    group.add('driver-3', `two open images: ${sample.name}`, async () => {
      const { image, content, backing } = await sample.get();
      const driver = subject.driver();
      const storages = [MemoryStorage.from(image), MemoryStorage.from(image)];
      const disks = await Promise.all(
        storages.map(async (storage) => {
          const opened = await driver.open(storage, { writable: false, ...subject.manifest.open });
          return subject.diskOf(opened, storage, { writable: false, backing });
        }),
      );
      await disks[0]?.close();
      const [, second] = disks;
      must(second !== undefined, 'no second disk');
      mustEqual(await readAll(second), content, 'after the first image was closed, the second');
      await second.close();
    });
  }
  return group.checks;
}

async function checkSchema(schema: OptionSchema): Promise<void> {
  for (const [name, field] of Object.entries(schema)) {
    must(field.description.trim() !== '', `the option '${name}' has no description`);
    if (field.default !== undefined) {
      const parsed = parseOptions(schema, { [name]: field.default }, 'checking defaults');
      must(parsed[name] === field.default, `the default of '${name}' is not taken as it is`);
    }
  }
}
