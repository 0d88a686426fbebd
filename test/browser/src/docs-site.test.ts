import { assertSiteIsCurrent, SITE } from '@lamella/docs-tests/site';
import { checkSiteLinks } from '@lamella/docs-tests/site-links';
import type { Page } from 'puppeteer-core';
import t, { type Test } from 'tap';
import { launchChromium, skipWithoutChromium } from './support/chromium.js';
import { serve } from './support/static-server.js';

const GUIDES = [
  'Getting started',
  'Composing chains',
  'Examples',
  'From qemu-img to Lamella',
  'Untrusted images',
  'Performance',
  'Writing a driver',
  'Writing a filter',
];

const DRIVER_GUIDE = [
  'Writes',
  'Zeroes and discards',
  'Backing files',
  'Creating and measuring',
  'Operations on the whole image',
  'Details and errors',
  'Testing',
  'Publishing',
];

t.test(
  'the documentation in a browser',
  { timeout: 120_000, ...skipWithoutChromium },
  async (t) => {
    assertSiteIsCurrent();
    const server = await serve(SITE);
    const browser = await launchChromium();
    t.teardown(async () => {
      await browser.close();
      await server.close();
    });
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warn'].includes(message.type())) {
        complaints.push(`${page.url()}: ${message.text()}`);
      }
    });
    page.on('pageerror', (error) => complaints.push(`${page.url()}: ${String(error)}`));
    page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`));
    page.on('response', (response) => {
      if (!response.ok()) {
        complaints.push(`${response.url()}: ${response.status()}`);
      }
    });
    const open = (path: string) => page.goto(server.url + path, { waitUntil: 'load' });

    await t.test('the front page leads to the guides and packages', async (t) => {
      await open('index.html');
      t.equal(await textOf(page, 'h1'), 'Lamella');
      const navigation = await linksIn(page, '#tsd-nav-container');
      for (const title of GUIDES) {
        t.ok(
          navigation.some(({ text }) => text === title),
          title,
        );
      }
    });

    await t.test('search finds BlockDriver and leads to its page', async (t) => {
      await open('index.html');
      await search(page, 'BlockDriver');
      await page.keyboard.press('ArrowDown');
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      t.match(new URL(page.url()).pathname, /\/interfaces\/_lamella_core\.BlockDriver\.html$/);
      t.match(await textOf(page, 'h1'), /BlockDriver/);
      const found = await page.$$eval('section h3', (headings) =>
        headings.map((heading) => heading.textContent ?? ''),
      );
      for (const member of ['format', 'open', 'probe', 'create']) {
        t.ok(
          found.some((heading) => heading.includes(member)),
          member,
        );
      }
    });

    await t.test('search finds guides, too', async (t) => {
      await open('index.html');
      const [first] = await search(page, 'Untrusted');
      t.match(first, /Untrusted images/);
    });

    await t.test('the guides load, with their pictures and code', async (t) => {
      await open('index.html');
      const links = await linksIn(page, '#tsd-nav-container');
      for (const title of GUIDES) {
        await follow(t, page, links, title);
      }
    });

    await t.test('every page of the driver guide loads, from the first one on', async (t) => {
      await open('index.html');
      await follow(t, page, await linksIn(page, '#tsd-nav-container'), 'Writing a driver');
      t.match(await code(page), /class MinimalDriver implements BlockDriver/);
      const links = await linksIn(page, '.tsd-typography');
      for (const title of DRIVER_GUIDE) {
        await follow(t, page, links, title);
        t.ok((await code(page)).length > 100, `${title} shows code`);
      }
    });

    await t.test('links that scripts made lead somewhere', async (t) => {
      await open('modules/_lamella_core.html');
      const made = await linksIn(page, '#tsd-nav-container');
      t.ok(made.length > 50, `${made.length} links`);
      const statuses = await page.evaluate(
        async (addresses) =>
          await Promise.all(addresses.map(async (address) => (await fetch(address)).status)),
        [...new Set(made.map(({ address }) => address.replace(/#.*$/, '')))],
      );
      t.same([...new Set(statuses)], [200]);
    });

    t.same(complaints, [], 'the browser has nothing to complain about');
    t.same(checkSiteLinks(SITE).broken, [], 'no link on any page leads nowhere');
  },
);

interface Link {
  readonly text: string;
  readonly address: string;
}

async function textOf(page: Page, selector: string): Promise<string> {
  return await page.$eval(selector, (element) => element.textContent?.trim() ?? '');
}

async function linksIn(page: Page, selector: string): Promise<readonly Link[]> {
  await page.waitForSelector(`${selector} a`);
  return await page.$$eval(`${selector} a[href]`, (links) =>
    links.map((link) => ({
      text: link.textContent?.trim() ?? '',
      address: link instanceof HTMLAnchorElement ? link.href : '',
    })),
  );
}

/** Types into the search and waits for what it finds, best first. */
async function search(page: Page, text: string): Promise<readonly string[]> {
  await page.click('#tsd-search-trigger');
  await page.waitForSelector('#tsd-search-input', { visible: true });
  await page.type('#tsd-search-input', text);
  await page.waitForSelector('#tsd-search-results li a');
  return await page.$$eval('#tsd-search-results li', (items) =>
    items.map((item) => item.textContent ?? ''),
  );
}

/** Goes where a link of that name leads, and looks at what is there. */
async function follow(t: Test, page: Page, links: readonly Link[], title: string): Promise<void> {
  const link = links.find(({ text }) => text === title);
  if (link === undefined) {
    t.fail(`there is no link '${title}'`);
    return;
  }
  await page.goto(link.address, { waitUntil: 'load' });
  t.equal(await textOf(page, 'h1'), title);
  const empty = await page.$$eval('img', (images) =>
    images.filter((image) => image.naturalWidth === 0).map((image) => image.src),
  );
  t.same(empty, [], 'pictures are there');
  t.notMatch(await textOf(page, '.tsd-typography'), /\{@\w+/, 'nothing is left to be put in');
}

async function code(page: Page): Promise<string> {
  return await page.$$eval('pre code', (blocks) =>
    blocks.map((block) => block.textContent ?? '').join('\n'),
  );
}
