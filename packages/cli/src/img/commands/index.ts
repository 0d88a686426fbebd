import type { Command } from '../../command-line/command.js';
import { amend } from './amend.js';
import { bench } from './bench.js';
import { bitmap } from './bitmap.js';
import { check } from './check.js';
import { commit } from './commit.js';
import { compare } from './compare.js';
import { convert } from './convert.js';
import { create } from './create.js';
import { dd } from './dd.js';
import { info } from './info.js';
import { map } from './map.js';
import { measure } from './measure.js';
import { rebase } from './rebase.js';
import { resize } from './resize.js';
import { snapshot } from './snapshot.js';

/** The commands of `lamella-img`, in the order in which help lists them. */
export const COMMANDS: readonly Command[] = [
  amend,
  bench,
  bitmap,
  check,
  commit,
  compare,
  convert,
  create,
  dd,
  info,
  map,
  measure,
  rebase,
  resize,
  snapshot,
];
