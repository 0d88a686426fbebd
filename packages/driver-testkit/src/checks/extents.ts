import { type Extent, type Image, isPromise, type Storage } from '@lamella/core';
import { must } from './check.js';

/** An extent and where on the disk it was asked for. */
export interface Mapped {
  /** Byte of the disk. */
  readonly position: number;
  /** The answer. */
  readonly extent: Extent;
}

/** Asks for a range until it is covered, and looks at every answer. */
export async function mapRange(image: Image, offset: number, end: number): Promise<Mapped[]> {
  const answers: Mapped[] = [];
  for (let position = offset; position < end; ) {
    const extent = await image.map(position, end - position);
    mustBeExtent(extent, end - position, position);
    answers.push({ position, extent });
    position += extent.length;
  }
  return answers;
}

/** @throws Error for an answer that is none */
export function mustBeExtent(extent: Extent, asked: number, position: number): void {
  const where = `map(${position}, ${asked})`;
  const { kind, length } = extent;
  must(
    Number.isInteger(length) && length >= 1 && length <= asked,
    `${where} answers for ${length} bytes`,
  );
  switch (kind) {
    case 'data':
      must(
        Number.isSafeInteger(extent.offset) && extent.offset >= 0,
        `${where} leads to byte ${extent.offset}`,
      );
      must(typeof extent.storage?.read === 'function', `${where} names no storage`);
      return;
    case 'zero':
      must(typeof extent.allocated === 'boolean', `${where} does not say whether it is allocated`);
      return;
    case 'compressed':
      must(typeof extent.load === 'function', `${where} can't be loaded`);
      return;
    case 'unallocated':
      return;
    default:
      must(false, `${where} is of the kind '${String(kind)}'`);
  }
}

/** @throws Error for a data extent that is not in its storage */
export function mustLieWithin({ position, extent }: Mapped, clusterSize: number): void {
  if (extent.kind !== 'data') {
    return;
  }
  const { offset, length, storage } = extent;
  must(
    offset < storage.size && offset + length - storage.size < clusterSize,
    `byte ${position} leads to ${length} bytes at ${offset} of ${storage.size}`,
  );
}

/** What is answered for one byte, in words that can be compared. */
export function describeByte(extent: Extent, within: number, storage: Storage): string {
  if (extent.kind !== 'data') {
    return extent.kind;
  }
  const place = extent.storage === storage ? 'own' : extent.storage.location;
  return `data at ${extent.offset + within} of ${place}`;
}

/** What is answered for some bytes of a range, when asked for in one. */
export async function describeRange(
  image: Image,
  storage: Storage,
  offset: number,
  end: number,
  step: number,
): Promise<string[]> {
  const answers = await mapRange(image, offset, end);
  const described: string[] = [];
  let index = 0;
  for (let position = offset; position < end; position += step) {
    while (answers[index + 1] !== undefined && (answers[index + 1]?.position ?? 0) <= position) {
      index += 1;
    }
    const answer = answers[index];
    must(answer !== undefined, `nothing covers byte ${position}`);
    described.push(describeByte(answer.extent, position - answer.position, storage));
  }
  return described;
}

/** @throws Error unless the extent is there at once */
export function mustBePlain(extent: Extent | Promise<Extent>, what: string): void {
  must(!isPromise(extent), `${what} is a promise`);
}
