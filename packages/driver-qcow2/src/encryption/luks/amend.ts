import { LamellaError, type OptionSchema, type OptionValue } from '@lamella/core';
import { passphraseBytes } from '../passphrase.js';
import type { LuksVolume } from './luks-volume.js';

/** Time in ms that trying a new passphrase takes, if not said otherwise. */
const DEFAULT_ITER_TIME = 2000;

/** Options that change the keys of an image, as qemu-img calls them; secrets are given as they are. */
export const AMEND_KEY_OPTIONS: OptionSchema = {
  'encrypt.state': {
    type: 'string',
    description: 'Select new state of affected keyslots (active/inactive)',
    choices: ['active', 'inactive'],
  },
  'encrypt.new-secret': {
    type: 'string',
    description: 'New secret to set in the matching keyslots. Empty string to erase',
    secret: true,
  },
  'encrypt.old-secret': {
    type: 'string',
    description: 'Select all keyslots that match this password',
    secret: true,
  },
  'encrypt.keyslot': {
    type: 'number',
    description: 'Select a single keyslot to modify explicitly',
  },
  'encrypt.iter-time': {
    type: 'number',
    description: 'Time to spend in PBKDF in milliseconds',
    default: DEFAULT_ITER_TIME,
  },
  'encrypt.force': {
    type: 'boolean',
    description: 'Replace an active slot, or erase the last one: the data are lost then',
    default: false,
  },
};

/**
 * Adds or erases keys.
 *
 * @param values - of {@link AMEND_KEY_OPTIONS}, checked
 * @param key - the master key, if the image is unlocked
 * @throws LamellaError `INVALID_ARGUMENT`, `WRONG_PASSPHRASE`, `PASSPHRASE_REQUIRED`, `NO_SPACE` (no slot is
 * free), `UNSUPPORTED` (the last key would go), `IO_ERROR`
 */
export async function amendKeys(
  volume: LuksVolume,
  values: Readonly<Record<string, OptionValue>>,
  key: Uint8Array | undefined,
  location: string,
): Promise<void> {
  const request: KeyRequest = {
    volume,
    location,
    force: values['encrypt.force'] === true,
    oldSecret: secret(values['encrypt.old-secret']),
    newSecret: secret(values['encrypt.new-secret']),
    slot: slotNumber(values['encrypt.keyslot'], location),
    iterTime: iterTime(values['encrypt.iter-time']),
  };
  switch (values['encrypt.state']) {
    case 'active':
      return addKey(request, key);
    case 'inactive':
      return eraseKeys(request);
    default:
      throw refuse(location, "changing keys needs 'encrypt.state'", 'Say active or inactive.');
  }
}

interface KeyRequest {
  readonly volume: LuksVolume;
  readonly location: string;
  readonly force: boolean;
  readonly oldSecret: Uint8Array | undefined;
  readonly newSecret: Uint8Array | undefined;
  readonly slot: number | undefined;
  readonly iterTime: number;
}

/**
 * Reads a time for `encrypt.iter-time`.
 *
 * @throws LamellaError `INVALID_ARGUMENT`
 */
export function iterTime(value: OptionValue | undefined): number {
  const time = Number(value ?? DEFAULT_ITER_TIME);
  if (!Number.isSafeInteger(time) || time < 1 || time > 600_000) {
    throw new LamellaError('INVALID_ARGUMENT', `encrypt.iter-time cannot be ${time}`, {
      hint: 'It is a number of ms from 1 to 600000.',
    });
  }
  return time;
}

async function addKey(request: KeyRequest, master: Uint8Array | undefined): Promise<void> {
  const { volume, location, newSecret, oldSecret } = request;
  if (newSecret === undefined) {
    throw refuse(
      location,
      "adding a key needs 'encrypt.new-secret'",
      'Give the passphrase to add.',
    );
  }
  const { slots } = volume.header;
  const index = request.slot ?? slots.findIndex(({ active }) => !active);
  if (index < 0) {
    throw new LamellaError('NO_SPACE', 'all key slots are in use', {
      location,
      hint: 'Erase one first (encrypt.state=inactive).',
    });
  }
  if (slots[index]?.active === true && !request.force) {
    throw refuse(location, `key slot ${index} is in use`, 'Erase it first, or take another.');
  }
  const key = oldSecret === undefined ? master : (await volume.unlock(oldSecret)).key;
  if (key === undefined) {
    throw new LamellaError('PASSPHRASE_REQUIRED', 'adding a key needs one that is known', {
      location,
      hint: 'Open the image with its passphrase, or give encrypt.old-secret.',
    });
  }
  try {
    await volume.fillSlot(index, key, newSecret, request.iterTime);
  } finally {
    if (key !== master) {
      key.fill(0);
    }
  }
}

async function eraseKeys(request: KeyRequest): Promise<void> {
  const { volume, location, oldSecret, slot } = request;
  if (request.newSecret !== undefined) {
    throw refuse(location, 'erasing keys takes no new passphrase', 'Leave encrypt.new-secret out.');
  }
  if (slot === undefined && oldSecret === undefined) {
    throw refuse(
      location,
      'erasing keys needs to know which',
      'Give encrypt.keyslot or encrypt.old-secret.',
    );
  }
  const matching = oldSecret === undefined ? undefined : await volume.slotsOf(oldSecret);
  const chosen = slot === undefined ? (matching ?? []) : [slot];
  if (matching !== undefined && !chosen.some((index) => matching.includes(index))) {
    const which = slot === undefined ? 'no key to erase opens' : `key slot ${slot} does not open`;
    throw new LamellaError('WRONG_PASSPHRASE', `${which} with this passphrase`, { location });
  }
  const { slots } = volume.header;
  const active = slots.flatMap((each, index) => (each.active ? [index] : []));
  if (slot !== undefined && !active.includes(slot) && !request.force) {
    throw refuse(location, `key slot ${slot} is not in use`, `In use: ${active.join(', ')}.`);
  }
  if (active.every((index) => chosen.includes(index)) && !request.force) {
    const problem =
      slot === undefined
        ? 'no key would be left and the data would be lost'
        : `key slot ${slot} is the last one in use: without it, the data would be lost`;
    throw new LamellaError('UNSUPPORTED', problem, {
      location,
      hint: 'Add another key first, or say encrypt.force=on.',
    });
  }
  for (const index of chosen) {
    await volume.eraseSlot(index);
  }
}

function secret(value: OptionValue | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : passphraseBytes(String(value));
}

function slotNumber(value: OptionValue | undefined, location: string): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0 || number > 7) {
    throw refuse(location, `there is no key slot ${number}`, 'Slots are numbered from 0 to 7.');
  }
  return number;
}

function refuse(location: string, problem: string, hint: string): LamellaError {
  return new LamellaError('INVALID_ARGUMENT', problem, { location, hint });
}
