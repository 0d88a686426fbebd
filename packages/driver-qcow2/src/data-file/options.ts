import {
  type CreateOptions,
  LamellaError,
  type OptionSchema,
  type OptionValue,
} from '@lamella/core';

/** Options of new images with an external data file, as qemu-img calls them. */
export const DATA_FILE_OPTIONS: OptionSchema = {
  data_file: {
    type: 'string',
    description: 'File name of an external data file',
  },
  data_file_raw: {
    type: 'boolean',
    description: 'The external data file must stay valid as a raw image',
  },
  keep_data_file: {
    type: 'boolean',
    description: 'Assume the external data file already exists and do not overwrite it',
  },
};

/** The external data file of a new image. */
export interface NewDataFile {
  /** Path as stored in the image. */
  readonly name: string;
  readonly raw: boolean;
  readonly keep: boolean;
}

/**
 * Reads the data file of a new image from its options.
 *
 * @param values - of {@link DATA_FILE_OPTIONS} and others, checked
 * @returns undefined for none
 * @throws LamellaError `INVALID_ARGUMENT`
 */
export function readDataFile(
  values: Readonly<Record<string, OptionValue>>,
  version: 2 | 3,
  { backing }: Pick<CreateOptions, 'backing'>,
): NewDataFile | undefined {
  const name = values.data_file;
  const raw = values.data_file_raw === true;
  const keep = values.keep_data_file === true;
  if (typeof name !== 'string') {
    if (raw || keep) {
      throw refuse(
        `${raw ? 'data_file_raw' : 'keep_data_file'} needs a data file`,
        'Give its path as data_file.',
      );
    }
    return undefined;
  }
  if (name === '') {
    throw refuse('the path of the data file is empty', 'Give a path relative to the image.');
  }
  if (version === 2) {
    throw refuse('compat=0.10 has no external data files', 'Use compat=1.1.');
  }
  if (raw && backing !== undefined) {
    throw refuse(
      'a backing file and data_file_raw exclude each other',
      'The data file has to be the whole disk; leave one of them out.',
    );
  }
  return { name, raw, keep };
}

function refuse(problem: string, hint: string): LamellaError {
  return new LamellaError('INVALID_ARGUMENT', problem, { hint });
}
