import t from 'tap';
import { launchChromium, skipWithoutChromium } from './support/chromium.js';

t.test('Chromium runs scripts of a page', skipWithoutChromium, async (t) => {
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  await page.setContent('<p id="p"></p><script>p.textContent = 6 * 7</script>');
  t.equal(await page.$eval('#p', (element) => element.textContent), '42');
});
