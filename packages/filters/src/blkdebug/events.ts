/**
 * Moments of an image's work that rules and breakpoints can name, as QEMU calls them:
 *
 * - `read_aio`, `write_aio`: before the guest's data are read or written
 * - `pwritev`, `pwritev_done`: before and after anything is written
 * - `pwritev_zero`: before zeroes are written as zeroes
 * - `flush_to_os`, `flush_to_disk`: before a flush, in this order
 * - `none`: when the image is opened; what it starts stays
 */
export const EVENTS = [
  'read_aio',
  'write_aio',
  'pwritev',
  'pwritev_done',
  'pwritev_zero',
  'flush_to_os',
  'flush_to_disk',
  'none',
] as const;

/** One of {@link EVENTS}. */
export type BlkdebugEvent = (typeof EVENTS)[number];

/** Moments of QEMU's own drivers, which come at other times here or not at all. */
const FOREIGN_EVENTS = new Set(
  (
    'l1_update l1_grow_alloc_table l1_grow_write_table l1_grow_activate_table l2_load l2_update ' +
    'l2_update_compressed l2_alloc_cow_read l2_alloc_write read_backing_aio read_compressed ' +
    'write_compressed vmstate_load vmstate_save cow_read cow_write reftable_load reftable_grow ' +
    'reftable_update refblock_load refblock_update refblock_update_part refblock_alloc ' +
    'refblock_alloc_hookup refblock_alloc_write refblock_alloc_write_blocks ' +
    'refblock_alloc_write_table refblock_alloc_switch_table cluster_alloc cluster_alloc_bytes ' +
    'cluster_free pwritev_rmw_head pwritev_rmw_after_head pwritev_rmw_tail pwritev_rmw_after_tail ' +
    'empty_image_prepare l1_shrink_write_table l1_shrink_free_l2_clusters cor_write ' +
    'cluster_alloc_space'
  ).split(' '),
);

/**
 * What a name means here.
 *
 * @returns the event, `foreign` for one of QEMU's that is never raised here, undefined for no event at all
 */
export function eventOf(name: string): BlkdebugEvent | 'foreign' | undefined {
  return (
    EVENTS.find((event) => event === name) ?? (FOREIGN_EVENTS.has(name) ? 'foreign' : undefined)
  );
}
