import type { Reference } from '@lamella/core';
import { withBacking } from '../header/backing.js';
import { EXTENSION } from '../header/extensions.js';
import { AUTOCLEAR, COMPATIBLE, withFeature } from '../header/features.js';
import type { Header } from '../header/header.js';
import type { AmendRequest } from './options.js';
import type { AmendPlan } from './plan.js';

/**
 * The header with what an amendment changes in the header alone.
 *
 * @throws LamellaError `LIMIT_EXCEEDED` for a name that is too long
 */
export function amendedHeader(header: Header, request: AmendRequest, plan: AmendPlan): Header {
  const { dataFile, dataFileRaw } = request;
  const named = backingChanges(request) ? withBacking(header, newBacking(header, request)) : header;
  const version3 = header.version === 3;
  return {
    ...named,
    compatible: version3
      ? withFeature(named.compatible, COMPATIBLE.lazyRefcounts, plan.lazyRefcounts)
      : named.compatible,
    autoclear:
      version3 && dataFileRaw === false
        ? withFeature(named.autoclear, AUTOCLEAR.rawExternalData, false)
        : named.autoclear,
    dataFile: dataFile === undefined ? named.dataFile : dataFile,
    extensions:
      dataFile === undefined
        ? named.extensions
        : named.extensions
            .filter(({ type }) => type !== EXTENSION.externalDataFile)
            .concat(
              dataFile === ''
                ? []
                : [{ type: EXTENSION.externalDataFile, data: new TextEncoder().encode(dataFile) }],
            ),
  };
}

function backingChanges({ backingFile, backingFormat }: AmendRequest): boolean {
  return backingFile !== undefined || backingFormat !== undefined;
}

function newBacking(header: Header, request: AmendRequest): Reference | undefined {
  const location = request.backingFile ?? header.backing?.location ?? '';
  const same = location === header.backing?.location;
  const format = request.backingFormat ?? (same ? header.backing?.format : undefined);
  return location === '' ? undefined : { location, format };
}
