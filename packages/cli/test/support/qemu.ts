import { spawnSync } from 'node:child_process';

const installed = spawnSync('qemu-img', ['--version']).status === 0;

/** Options of a test that needs QEMU's tools: skipped visibly where they are missing, unless required. */
export const skipWithoutQemu =
  installed || process.env.LAMELLA_REQUIRE_QEMU === '1' ? {} : { skip: 'not installed: qemu-img' };
