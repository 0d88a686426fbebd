import type { Measurement, MeasureRequest } from '@lamella/core';
import { planCreate } from './create.js';
import { Geometry } from './geometry.js';

/**
 * Bytes of a new image's file: header, L1 table, and for each cluster with data the cluster and its L2
 * table.
 *
 * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`
 */
export async function measureImage(request: MeasureRequest): Promise<Measurement> {
  const values = planCreate({ size: request.size, options: request.options });
  const { clusterSize } = values;
  const geometry = new Geometry({ ...values, headerSize: 1 });
  const empty = values.l1Offset + geometry.tableBytes;
  const clusters = Math.ceil(values.imageSize / clusterSize);
  const tables = Math.ceil(clusters / geometry.tableEntries);
  const fullyAllocated = empty + tables * geometry.tableBytes + clusters * clusterSize;
  if (request.data === undefined) {
    return { required: fullyAllocated, fullyAllocated };
  }
  const used = { clusters: new RunCounter(), tables: new RunCounter() };
  for await (const { offset, length } of request.data) {
    const end = Math.min(offset + length, values.imageSize);
    if (end > offset) {
      const first = Math.floor(offset / clusterSize);
      const last = Math.ceil(end / clusterSize) - 1;
      used.clusters.add(first, last);
      const { tableEntries } = geometry;
      used.tables.add(Math.floor(first / tableEntries), Math.floor(last / tableEntries));
    }
  }
  return {
    required: empty + used.tables.count * geometry.tableBytes + used.clusters.count * clusterSize,
    fullyAllocated,
  };
}

/** Counts distinct numbers of runs that come in order. */
class RunCounter {
  count = 0;
  #next = 0;

  add(first: number, last: number): void {
    this.count += Math.max(0, last + 1 - Math.max(first, this.#next));
    this.#next = Math.max(this.#next, last + 1);
  }
}
