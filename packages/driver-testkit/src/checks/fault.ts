import type { Disk, MemoryStorage, StorageCall } from '@lamella/core';
import { pattern } from '../model/bytes.js';
import type { Change } from '../model/changes.js';
import { GuestHistory } from '../model/guest-history.js';
import { RuleViolation } from '../rule-violation.js';
import { FaultyStorage } from '../storage/faulty-storage.js';
import { LastingStorage } from '../storage/lasting-storage.js';
import { Timeline } from '../storage/timeline.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustBeTyped, needing, under } from './check.js';
import { memoryOf, mustBeSound, readAll, reopened } from './disks.js';
import { carryOut } from './together.js';

/** Most calls of one kind that are made to fail, one in each run. */
const MAX_FAILURES = 24;
/** Behind every moment. */
const FOR_EVER = Number.MAX_SAFE_INTEGER;

/** Which call fails, and for how long. */
interface Fault {
  readonly name: string;
  /** Calls that count. */
  readonly counts: (call: StorageCall, size: number) => boolean;
  /** Whether all later ones fail, too. */
  readonly forGood: boolean;
  readonly code?: 'NO_SPACE';
}

const changes = ({ method }: StorageCall): boolean => !/^(read|map)$/.test(method);

const FAULTS: readonly Fault[] = [
  { name: 'a change fails once', counts: changes, forGood: false },
  { name: 'a change fails, and all that follow', counts: changes, forGood: true },
  { name: 'a read fails once', counts: ({ method }) => method === 'read', forGood: false },
  { name: 'a flush fails once', counts: ({ method }) => method === 'flush', forGood: false },
  {
    name: 'growth of the file finds no space',
    counts: ({ method, offset, length }, size) =>
      /^(write|writeZeroes|truncate)$/.test(method) && offset + length > size,
    forGood: true,
    code: 'NO_SPACE',
  },
];

/** Storages that fail at one step of a fixed life: at each step in turn. */
export function faultChecks(subject: Subject): readonly Check[] {
  const group = new CheckGroup('fault');
  for (const start of subject.usually(subject.starts)) {
    for (const fault of FAULTS) {
      group.add(
        'fault-2',
        `${fault.name}: ${start.name}`,
        needing(subject, 'write', () => sufferAtEachStep(subject, start, fault)),
      );
    }
  }
  return group.checks;
}

async function sufferAtEachStep(
  subject: Subject,
  start: NamedSample,
  fault: Fault,
): Promise<string | undefined> {
  for (let number = 0; number < MAX_FAILURES; number += fault.forGood ? 2 : 1) {
    try {
      if (!(await suffer(subject, start, fault, number))) {
        return number === 0 ? 'there is no such call' : undefined;
      }
    } catch (error) {
      const { rule, cause } =
        error instanceof RuleViolation ? error : ({ rule: 'fault-2', cause: error } as const);
      const problem = cause instanceof Error ? cause.message : String(cause);
      throw new RuleViolation(
        rule,
        new Error(`at the ${ordinal(number)} such call: ${problem}`, { cause }),
      );
    }
  }
  return undefined;
}

/** One life with one failure; whether there was a call to fail. */
async function suffer(
  subject: Subject,
  start: NamedSample,
  fault: Fault,
  number: number,
): Promise<boolean> {
  const { image, content, backing } = await start.get();
  const memory = memoryOf(image);
  const faulty = new FaultyStorage(memory, undefined, fault.code);
  const disk = await subject.disk(new LastingStorage(faulty), { writable: true, backing });
  const history = new GuestHistory(new Timeline(), content);
  let counted = 0;
  let struck = false;
  faulty.fails = (call) => {
    if (!fault.counts(call, memory.size)) {
      return false;
    }
    counted += 1;
    const fails = fault.forGood ? counted > number : counted === number + 1;
    struck ||= fails;
    return fails;
  };
  const tellsNobody = fault.name.startsWith('a read') || fault.code !== undefined;
  const closeWithFault = async (): Promise<boolean> => {
    const closed = await succeeds(() => disk.close(), 'close');
    if (!struck) {
      return false;
    }
    await under('fault-1', async () =>
      must(!closed || tellsNobody, 'close failed and told nobody'),
    );
    faulty.fails = () => false;
    await mustBeRight(subject, memory, backing, history);
    return true;
  };
  const met = await script(disk, history, await subject.unit());
  if (!struck) {
    return closeWithFault();
  }
  faulty.fails = () => false;
  history.check(await readAll(disk), FOR_EVER);
  await goOn(disk, history, await subject.unit());
  history.check(await readAll(disk), FOR_EVER);
  await succeeds(() => disk.close(), 'close');
  await under('fault-1', async () => must(met > 0 || tellsNobody, 'nobody was told'));
  await mustBeRight(subject, memory, backing, history);
  return true;
}

/** Reopened, opened for writing (which repairs what it has to) and reopened again, all is as it may be. */
async function mustBeRight(
  subject: Subject,
  memory: MemoryStorage,
  backing: Uint8Array | undefined,
  history: GuestHistory,
): Promise<void> {
  history.check(await reopened(subject, memory, backing), FOR_EVER);
  const disk = await subject.disk(memory, { writable: true, backing });
  await disk.close();
  history.check(await reopened(subject, memory, backing), FOR_EVER);
  await mustBeSound(subject, memory, { leaks: 'allowed' });
}

/** Whether it works; typed errors are the other thing that may happen. */
async function succeeds(work: () => Promise<void>, what: string): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    mustBeTyped(error, what);
    return false;
  }
}

/** A fixed life with requests of every kind; failures are expected, false success is not. */
async function script(disk: Disk, history: GuestHistory, unit: number): Promise<number> {
  const write = (seed: number, offset: number, length: number): Change => ({
    kind: 'write',
    offset,
    length,
    bytes: pattern(seed, offset, length),
  });
  let failures = 0;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    failures += (await succeeds(work, 'a request')) ? 0 : 1;
  };
  const make = (change: Change) =>
    attempt(() => history.change(change, () => carryOut(disk, change)));
  const flush = () => attempt(() => history.flush(() => disk.flush()));
  await make(write(1, unit * 2 + 5, 100));
  await make(write(2, unit * 4, unit));
  await flush();
  await make(write(3, unit * 6 + 3, unit * 2));
  await make({ kind: 'zero', offset: unit * 2, length: unit });
  await make({ kind: 'discard', offset: unit * 7, length: unit * 2 });
  await make(write(4, unit * 12, 10));
  await flush();
  await make(write(5, unit * 4 + 1, 5));
  await make({ kind: 'zero', offset: unit * 13 + 1, length: unit });
  await make(write(6, unit * 15, unit * 2));
  await flush();
  return failures;
}

/** Later requests work again, or are refused; what they say counts. */
async function goOn(disk: Disk, history: GuestHistory, unit: number): Promise<void> {
  const change: Change = {
    kind: 'write',
    offset: unit * 3 + 9,
    length: unit,
    bytes: pattern(8, unit * 3 + 9, unit),
  };
  for (const work of [
    () => history.change(change, () => carryOut(disk, change)),
    () => history.flush(() => disk.flush()),
  ]) {
    await succeeds(work, 'a later request');
  }
}

function ordinal(number: number): string {
  const endings = ['1st', '2nd', '3rd'];
  return endings[number] ?? `${number + 1}th`;
}
