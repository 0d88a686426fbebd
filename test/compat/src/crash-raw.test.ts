import { truncateSync, writeFileSync } from 'node:fs';
import { paths } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';
import { crashOnce } from './crash-run.js';

/** The long run: `LAMELLA_SOAK_KILLS=200 node test/compat/build/test/crash-raw.test.js`. */
const KILLS = Number(process.env.LAMELLA_SOAK_KILLS ?? 20);
const SIZE = 2 * 1024 * 1024;
t.setTimeout(KILLS * 30_000);

t.test(`raw: ${KILLS} times kill -9 during random writes`, async (t) => {
  const at = paths(t);
  const seed = Date.now() % 1_000_000;
  t.comment(`seed ${seed}`);
  let flushed = 0;
  let begun = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    writeFileSync(at('image'), '');
    truncateSync(at('image'), SIZE);
    const cache = kill % 4 === 3 ? 'none' : 'writeback';
    const delay = (seed * 7 + kill * 37) % 60;
    const result = await crashOnce(at('image'), 'raw', cache, seed + kill, delay);
    flushed += result.flushed;
    begun += result.begun;
    t.strictSame(result.problems, [], `kill ${kill}, ${cache}, after ${delay} ms`);
  }
  t.ok(flushed > KILLS, 'flushed writes were looked for');
  t.comment(`${begun} writes begun, ${flushed} slots were flushed and found`);
  // The locks of the dead are gone: it opens for writing.
  await (await new Lamella().open(at('image'), { format: 'raw', writable: true })).close();
});
