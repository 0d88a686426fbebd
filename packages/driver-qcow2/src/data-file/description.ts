import type { OptionValue, References } from '@lamella/core';
import type { Geometry } from '../geometry.js';
import type { Header } from '../header/header.js';

/** The other files that a header names. */
export function referencesOf({ backing, dataFile }: Header): References {
  return dataFile === undefined ? { backing } : { backing, dataFile: { location: dataFile } };
}

/** What an image with an external data file says of it, under the names of create options. */
export function dataFileOptions(
  { dataFile }: Header,
  { externalData, rawData }: Geometry,
): Readonly<Record<string, OptionValue>> {
  if (!externalData) {
    return {};
  }
  const raw = { data_file_raw: rawData };
  return dataFile === undefined ? raw : { data_file: dataFile, ...raw };
}
