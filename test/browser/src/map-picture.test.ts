import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Lamella } from 'lamella';
import type { Browser, Page } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { launchChromium, skipWithoutChromium } from './support/chromium.js';

const MIB = 1024 * 1024;
const program = createRequire(import.meta.url).resolve('@lamella/cli/bin/lamella.cjs');

function temporary(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'lamella-picture-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A raw base with data in its first quarter, a qcow2 image with compressed data, a QED image on top. */
async function makeChain(directory: string, base = 'base.raw'): Promise<void> {
  const lamella = new Lamella();
  const at = (name: string): string => join(directory, name);
  writeFileSync(at(base), '');
  await lamella.create(at(base), { format: 'raw', size: 64 * MIB, overwrite: true });
  const raw = await lamella.open(at(base), { format: 'raw', writable: true });
  await raw.write(new Uint8Array(16 * MIB).fill(1), 0);
  await raw.close();
  const middle = { format: 'qcow2', backing: { location: base, format: 'raw' } };
  await lamella.create(at('middle.qcow2'), middle);
  const packed = await lamella.open(at('middle.qcow2'), { writable: true });
  await packed.writeCompressed(new Uint8Array(8 * MIB).fill(2), 32 * MIB);
  await packed.close();
  await lamella.create(at('top.qed'), { format: 'qed', backing: 'middle.qcow2' });
  const top = await lamella.open(at('top.qed'), { writable: true });
  await top.write(new Uint8Array(4 * MIB).fill(3), 48 * MIB);
  await top.write(new Uint8Array(MIB).fill(4), 8 * MIB);
  await top.close();
}

/** Opens the picture of an image; whatever the page asks for beside itself, or says, is noted. */
async function openPicture(
  browser: Browser,
  directory: string,
  image: string,
): Promise<{ readonly page: Page; readonly noted: string[] }> {
  const file = join(directory, 'map.html');
  execFileSync(process.execPath, [program, 'map', '--html', file, image], { cwd: directory });
  const page = await browser.newPage();
  const noted: string[] = [];
  page.on('request', (request) => noted.push(request.url()));
  page.on('console', (message) => noted.push(message.text()));
  page.on('pageerror', (error) => noted.push(String(error)));
  page.on('dialog', async (dialog) => {
    noted.push(dialog.message());
    await dialog.dismiss();
  });
  const { href } = pathToFileURL(file);
  await page.setViewport({ width: 1100, height: 800 });
  await page.goto(href);
  return { page, noted: noted.filter((text) => text !== href) };
}

/** Texts of the page's elements. */
function textsOf(page: Page, selector: string): Promise<readonly string[]> {
  return page.$$eval(selector, (elements) => elements.map(({ textContent }) => textContent ?? ''));
}

/** Points at a place of a row's bar, and gives what is shown there. */
async function pointAt(page: Page, row: number, share: number): Promise<string> {
  const bars = await page.$$('svg .edge.row');
  const box = await bars[row]?.boundingBox();
  if (box == null) {
    throw new Error(`there is no row ${row}`);
  }
  await page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
  return page.$eval('#tip', (tip) => (tip.checkVisibility() ? (tip.textContent ?? '') : ''));
}

t.test('a chain of three layers', skipWithoutChromium, async (t) => {
  const directory = temporary(t);
  await makeChain(directory);
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const { page, noted } = await openPicture(browser, directory, 'top.qed');
  t.same(noted, [], 'the page loads nothing and says nothing');
  t.same(await textsOf(page, 'svg .name'), [
    'What the guest reads',
    '0  top.qed',
    '1  middle.qcow2',
    '2  base.raw',
  ]);
  const legend = await textsOf(page, 'svg .legend text');
  t.same(legend, [
    'data in 0  top.qed',
    'data in 1  middle.qcow2',
    'data in 2  base.raw',
    'compressed data',
    'zeroes, or a hole in the file',
    'hidden by a layer above',
    'unallocated: shows the layer below',
  ]);
  const colours = await page.$$eval('svg .legend rect:nth-of-type(3n+2)', (swatches) =>
    swatches.slice(0, 3).map((swatch) => getComputedStyle(swatch).fill),
  );
  t.equal(new Set(colours).size, 3, 'each layer has a colour of its own');
  t.match(await textsOf(page, 'tbody tr'), [/^0top\.qed/, /^1middle\.qcow2/, /^2base\.raw/]);
});

t.test('hover texts: guest range, layer, host offset and kind', skipWithoutChromium, async (t) => {
  const directory = temporary(t);
  await makeChain(directory);
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const { page } = await openPicture(browser, directory, 'top.qed');
  const lamella = new Lamella();
  const disk = await lamella.open(join(directory, 'top.qed'));
  let hostOffset = -1;
  for await (const extent of disk.extents({ offset: 48 * MIB, length: MIB })) {
    hostOffset = extent.hostOffset ?? -1;
    break;
  }
  await disk.close();
  // In the middle of the data of each layer, and of nothing.
  const base = await pointAt(page, 0, 0.1);
  t.match(
    base,
    /^guest 0x0–0x800000 \(0 B \+ 8 MiB\)\ndata: 0x0–0x800000 \(8 MiB\), layer 2 .*base\.raw, host offset 0x0$/,
  );
  t.match(
    await pointAt(page, 0, 0.55),
    /compressed data: 0x2000000–0x2800000 \(8 MiB\), layer 1 .*middle\.qcow2$/,
  );
  const own = await pointAt(page, 1, 0.78);
  t.match(own, /data: 0x3000000–0x3400000 \(4 MiB\), layer 0 top\.qed, host offset 0x[0-9a-f]+$/);
  t.equal(
    Number(/host offset (0x[0-9a-f]+)/.exec(own)?.[1]),
    hostOffset,
    'the offset that extents tell',
  );
  t.match(await pointAt(page, 1, 0.1), /nothing here$/);
  t.match(await pointAt(page, 3, 0.9), /zeroes, or a hole in the file: .*base\.raw/);
  await page.mouse.move(2, 2);
  t.equal(await page.$eval('#tip', (tip) => tip.checkVisibility()), false, 'and nothing elsewhere');
});

t.test('nothing is cut off or overlaps', skipWithoutChromium, async (t) => {
  const directory = temporary(t);
  const long = `${'W'.repeat(60)}-${'m'.repeat(120)}.raw`;
  await makeChain(directory, long);
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const { page } = await openPicture(browser, directory, 'top.qed');
  const boxes = await page.$$eval('svg text', (texts) =>
    texts.map((text) => {
      const { left, right, top, bottom } = text.getBoundingClientRect();
      return { left, right, top, bottom, said: text.textContent ?? '' };
    }),
  );
  const picture = await page.$eval('svg', (svg) => {
    const { left, right, top, bottom } = svg.getBoundingClientRect();
    return { left, right, top, bottom };
  });
  for (const [index, box] of boxes.entries()) {
    const inside =
      box.left >= picture.left && box.right <= picture.right && box.bottom <= picture.bottom;
    t.ok(inside, `${box.said} is inside`);
    for (const other of boxes.slice(index + 1)) {
      const apart =
        box.right <= other.left ||
        other.right <= box.left ||
        box.bottom <= other.top ||
        other.bottom <= box.top;
      if (!apart) {
        t.fail(`'${box.said}' overlaps '${other.said}'`);
      }
    }
  }
});

t.test('a hostile name runs no script', skipWithoutChromium, async (t) => {
  const directory = temporary(t);
  const evil = `x"><script>document.title='taken'<script><img src=x onerror=alert(1)>'&\u202e.raw`;
  await makeChain(directory, evil);
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const { page, noted } = await openPicture(browser, directory, 'top.qed');
  t.same(noted, []);
  t.equal(await page.title(), 'top.qed: where the data are');
  t.equal((await page.$$('script')).length, 1, 'only the script of the page');
  t.equal((await page.$$('img')).length, 0);
  const shown = evil.replace('\u202e', '\ufffd');
  t.ok((await textsOf(page, 'tbody td')).includes(shown), 'the name is told as it is');
  // Were it in the page, the policy would still keep it from running.
  const injected = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = "document.title = 'taken'";
    document.body.append(script);
    return document.title;
  });
  t.not(injected, 'taken');
  const svg = execFileSync(process.execPath, [program, 'map', '--svg', '-', 'top.qed'], {
    cwd: directory,
    encoding: 'utf8',
  });
  const problem = await page.evaluate((text) => {
    const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
    return (
      parsed.querySelector('parsererror')?.textContent ??
      (parsed.querySelector('script, img') ? 'injected' : '')
    );
  }, svg);
  t.equal(problem, '', 'the SVG is well-formed XML, and nothing else is in it');
});

t.test('light and dark surroundings', skipWithoutChromium, async (t) => {
  const directory = temporary(t);
  await makeChain(directory);
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const { page } = await openPicture(browser, directory, 'top.qed');
  const colours = async (scheme: string): Promise<readonly string[]> => {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    return page.evaluate(() =>
      ['.bg', '.name', '.l0'].map((selector) => {
        const element = document.querySelector(`svg > ${selector}, svg g ${selector}`);
        return element === null ? '' : getComputedStyle(element).fill;
      }),
    );
  };
  const [light, dark] = [await colours('light'), await colours('dark')];
  for (const [index, colour] of light.entries()) {
    t.match(colour, /^rgb/);
    t.not(colour, dark[index]);
  }
  t.ok(readFileSync(join(directory, 'map.html')).length < 200_000);
});
