import type { SnapshotInfo } from 'lamella';
import { formatSize } from '../command-line/size.js';

/** The list of an image's snapshots, a line each below a line of headings. */
export function snapshotTable(snapshots: readonly SnapshotInfo[]): readonly string[] {
  return [
    row('ID', 'TAG', 'VM_SIZE', 'DATE', 'VM_CLOCK', 'ICOUNT'),
    ...snapshots.map(({ id, name, vmStateSize, date, vmClock, icount }) =>
      row(id, name, formatSize(vmStateSize), localDate(date), clock(vmClock), `${icount ?? ''}`),
    ),
  ];
}

function row(
  id: string,
  tag: string,
  size: string,
  date: string,
  time: string,
  icount: string,
): string {
  const wide = [id.padEnd(7), tag.padEnd(16), size.padStart(8), date.padStart(19)];
  return `${wide.join(' ')} ${time.padStart(15)} ${icount.padStart(10)}`;
}

function localDate(date: Date): string {
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}

/** Time that a guest had run: hours, minutes, seconds and milliseconds. */
function clock(nanoseconds: bigint): string {
  const milliseconds = Number(nanoseconds / 1_000_000n);
  const seconds = Math.floor(milliseconds / 1000);
  const hours = String(Math.floor(seconds / 3600)).padStart(4, '0');
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return `${hours}:${rest}.${String(milliseconds % 1000).padStart(3, '0')}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
