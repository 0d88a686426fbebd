import { HEADERS, METADATA } from './support/damaged.js';
import { compareAll } from './support/differential.js';

/** A repair of these goes other ways: what it leaves is looked at in the driver's own tests. */
const NOT_REPAIRED = new Set(['snapcount.qcow2']);
const names = METADATA.map(({ name }) => name);

/** Damaged images: what is wrong with headers, what a check finds, and what a repair says and leaves. */
compareAll([
  ...HEADERS.map(({ name }) => `map -f ${name.split('.')[1]} ${name}`),
  ...names.flatMap((name) => [`check ${name}`, `check --output=json ${name}`]),
  ...names
    .filter((name) => !NOT_REPAIRED.has(name))
    .flatMap((name) => [
      `check -r leaks ${name} && check ${name}`,
      `check -q -r all ${name} && check ${name}`,
    ]),
  ...['leak', 'shared', 'unused', 'several', 'blockbeyond', 'blockbits', 'blocktwice'].flatMap(
    (name) => [`check -r all ${name}.qcow2`, `check -r all --output=json ${name}.qcow2`],
  ),
  'resize marked.qcow2 2M',
  'snapshot -c x marked.qcow2',
  'info dirty.qed',
  'info --output=json dirty.qed',
  'map far.qed',
]);
