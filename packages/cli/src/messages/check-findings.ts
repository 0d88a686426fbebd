import type { CheckFinding, RepairMode } from 'lamella';

const MISMATCH = /^cluster (\d+) has refcount (\d+) and (\d+) references$/;
const REBUILD_WANTED = /^the refcount structure has to be rebuilt/;
/** What can't be mended in place: clusters in use that count for nothing, and blocks that are nowhere. */
const NEEDS_REBUILD =
  /^(cluster \d+ has refcount 0 and|refcount table entry|refcount block \d+ is (at|referred)|.* too far to let it grow$)/;
const FREED = /^cluster \d+ has refcount \d+ and 0 references$/;

/** Offsets from here on leave no room for a cluster below the largest file size. */
const BEYOND_OFFSETS = 2 ** 63 - 2 ** 16;

/** Text for a finding, by its parts; `verb` is `ERROR`, or `Repairing` for what was mended. */
type Wording = (verb: string, ...parts: readonly string[]) => string;

const hex = (decimal = '0'): string => Number(decimal).toString(16);
const digits = (entry = ''): string => entry.replace(/^0x/, '');

/** What qemu-img says of findings that the qcow2 driver names in its own words. */
const WORDINGS: readonly (readonly [RegExp, Wording])[] = [
  [
    /^(\d+) bytes in use at byte (\d+) reach behind the end of the file by a cluster or more$/,
    (_verb, length, offset) =>
      'ERROR: counting reference for region exceeding the end of the file by one cluster or more: ' +
      `offset 0x${hex(offset)} size 0x${hex(length)}`,
  ],
  [
    /^an L1 entry has reserved bits set: (\S+)$/,
    (_verb, entry) => `ERROR found L1 entry with reserved bits set: ${digits(entry)}`,
  ],
  [
    /^an L2 entry has reserved bits set: (\S+)$/,
    (_verb, entry) => `ERROR found l2 entry with reserved bits set: ${digits(entry)}`,
  ],
  [
    /^an L2 table is at byte (\d+), which is not aligned$/,
    (_verb, offset) =>
      `ERROR l2_offset=${hex(offset)}: Table is not cluster aligned; L1 entry corrupted`,
  ],
  [
    /^a data cluster is at byte (\d+), which is not aligned$/,
    (_verb, offset) =>
      `ERROR offset=${hex(offset)}: Data cluster is not properly aligned; L2 entry corrupted.`,
  ],
  [
    /^a reserved cluster is at byte (\d+), which is not aligned$/,
    (verb, offset) =>
      `${verb} offset=${hex(offset)}: Preallocated cluster is not properly aligned; L2 entry corrupted.`,
  ],
  [
    /^the COPIED flag for the L2 table at byte \d+ \(L1 entry (\d+), (\S+)\) is \S+ at refcount (\d+)$/,
    (verb, index, entry, refcount) =>
      `${verb} OFLAG_COPIED L2 cluster: l1_index=${index} l1_entry=${digits(entry)} refcount=${refcount}`,
  ],
  [
    /^the COPIED flag for the data cluster at byte \d+ \(L2 entry (\S+)\) is \S+ at refcount (\d+)$/,
    (verb, entry, refcount) =>
      `${verb} OFLAG_COPIED data cluster: l2_entry=${digits(entry)} refcount=${refcount}`,
  ],
  [
    /^a compressed cluster at byte (\d+) has the COPIED flag$/,
    (_verb, offset) =>
      `ERROR: coffset=0x${hex(offset)}: copied flag must never be set for compressed clusters`,
  ],
  [
    /^the L1 table of snapshot (.*) at byte (\d+) is not aligned$/,
    (_verb, name, offset) =>
      `ERROR snapshot ${name} l1_offset=0x${hex(offset)}: L1 table is not cluster aligned; snapshot table entry corrupted`,
  ],
  [
    /^refcount block (\d+) is at byte \d+, which is not aligned$/,
    (_verb, index) =>
      `ERROR refcount block ${index} is not cluster aligned; refcount table entry corrupted`,
  ],
  [
    /^refcount block (\d+) at byte \d+ is outside of the file$/,
    (verb, index) => `${verb} refcount block ${index} is outside image`,
  ],
  [
    /^refcount block (\d+) at byte (\d+) is outside of the file, too far to let it grow$/,
    (verb, index, offset) => {
      const why = Number(offset) >= BEYOND_OFFSETS ? 'Invalid argument' : 'File too large';
      return `${verb} refcount block ${index} is outside image\nERROR could not resize image: ${why}`;
    },
  ],
  [
    /^refcount table entry (\d+) has reserved bits set$/,
    (_verb, index) => `ERROR refcount table entry ${index} has reserved bits set`,
  ],
  [
    /^the cluster at byte (\d+) has more references than a refcount of \d+ bits? holds$/,
    (_verb, offset) =>
      `ERROR: overflow cluster offset=0x${hex(offset)}\n` +
      'Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a ' +
      'clean copy if the image cannot be opened for writing',
  ],
  [
    /^refcount block (\d+) is referred to (\d+) times$/,
    (_verb, index, references) => `ERROR refcount block ${index} refcount=${references}`,
  ],
  [
    /^the refcount of cluster (\d+) cannot be read$/,
    (_verb, cluster) => `Can't get refcount for cluster ${cluster}: Input/output error`,
  ],
  [REBUILD_WANTED, () => 'ERROR need to rebuild refcount structures'],
];

/** Whether a check could do nothing because a repair of leaks alone is not enough. */
export function wantsRebuild(findings: readonly CheckFinding[]): boolean {
  return findings.some(({ message }) => REBUILD_WANTED.test(message));
}

/** What stands behind `Check failed: ` when the snapshot table is out of reach, and what is said before. */
export function snapshotTableFailure(
  findings: readonly CheckFinding[],
): { readonly line: string; readonly why: string } | undefined {
  for (const { message } of findings) {
    const count = /^the snapshot table has (\d+) entries; at most (\d+) are allowed$/.exec(message);
    if (count !== null) {
      const left = Number(count[1]) - Number(count[2]);
      return {
        line:
          'ERROR snapshot table too large\n' +
          `You can force-remove all ${left} overhanging snapshots with qemu-img check -r all`,
        why: 'File too large',
      };
    }
    if (/^the snapshot table is at byte \d+, which is not aligned$/.test(message)) {
      return { line: 'ERROR snapshot table offset invalid', why: 'Invalid argument' };
    }
  }
  return undefined;
}

/**
 * What `qemu-img check` prints of findings, line by line. A repair tells refcounts twice there: as they are
 * found, and as they are mended.
 *
 * @param format - QED images are checked in silence
 */
export function findingLines(
  findings: readonly CheckFinding[],
  repair: RepairMode,
  format: string,
): readonly string[] {
  if (format === 'qed') {
    return [];
  }
  const rebuilt = repair === 'all' && findings.some(({ message }) => NEEDS_REBUILD.test(message));
  const last = findings.findLastIndex(({ message }) => NEEDS_REBUILD.test(message));
  const freed = rebuilt
    ? findings.filter((finding, index) => index > last && isFreed(finding))
    : [];
  const found = findings.filter((finding) => !freed.includes(finding));
  const first = found.findIndex(isMismatch);
  const walked = found.findIndex(({ message }) => message.startsWith('the COPIED flag'));
  const before = found.slice(0, first >= 0 ? first : walked >= 0 ? walked : found.length);
  const mismatches = found.filter(isMismatch);
  const others = found.slice(before.length).filter((finding) => !isMismatch(finding));
  const inPlace = repair === 'none' || wantsRebuild(findings) ? [] : mismatches;
  return [
    ...before.map(lineOf),
    ...mismatches.map((finding) => lineOf({ ...finding, fixed: false })),
    ...(rebuilt ? ['Rebuilding refcount structure', ...freed.map(lineOf)] : inPlace.map(lineOf)),
    ...others.map(lineOf),
  ];
}

function isMismatch({ message }: CheckFinding): boolean {
  return MISMATCH.test(message);
}

/** A cluster of the old refcount structure, which a rebuild gives back after all else. */
function isFreed({ kind, message, fixed }: CheckFinding): boolean {
  return kind === 'leak' && fixed && FREED.test(message);
}

function lineOf({ message, fixed }: CheckFinding): string {
  const verb = fixed ? 'Repairing' : 'ERROR';
  const [, cluster, stored, counted] = MISMATCH.exec(message) ?? [];
  if (cluster !== undefined) {
    const what = fixed ? verb : Number(stored) > Number(counted) ? 'Leaked' : 'ERROR';
    return `${what} cluster ${cluster} refcount=${stored} reference=${counted}`;
  }
  for (const [pattern, wording] of WORDINGS) {
    const match = pattern.exec(message);
    if (match !== null) {
      return wording(verb, ...match.slice(1));
    }
  }
  return message;
}
