// Every page, as people with different eyes, screens and connections meet it.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { desktop, logIn, openBrowser, phone, visit } from './browser.mjs';
import { memberPages, operatorPages, publicPages } from './pages.mjs';
import { operator, startSite } from './site.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let site, browser, guestPages, signedInPages, signedIn;
before(async () => {
  site = await startSite();
  browser = await openBrowser();
  const { page, context } = await visit(browser, site);
  guestPages = await publicPages(page);
  await logIn(page, operator);
  signedIn = await context.storageState();
  const [, thread] = guestPages.find(([name]) => name === 'thread');
  signedInPages = [...memberPages(thread, operator.username), ...operatorPages(operator.username)];
  await context.close();
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

/** Opens each page for a guest and for the administrator, and hands it on. */
async function eachPage(options, look) {
  for (const [pages, storageState] of [[guestPages, undefined], [signedInPages, signedIn]]) {
    const { page, context, complaints } = await visit(browser, site, { ...options, storageState });
    for (const [name, path] of pages) {
      const response = await page.goto(path, { waitUntil: 'load' });
      assert.equal(response.status(), name === 'not-found' ? 404 : 200, path);
      await look(page, path, name);
    }
    assert.deepEqual(complaints, []);
    await context.close();
  }
}

// Colours do not depend on the screen nor sizes on the theme: two of the four combinations see all there is.
for (const [colorScheme, screen, viewport] of [['light', 'desktop', desktop], ['dark', 'phone', phone]]) {
  test(`axe finds nothing on any page, ${colorScheme}, on a ${screen}`, async () => {
    const found = [];
    // The policy of the site would rightly refuse a checker that is not the site's own.
    await eachPage({ colorScheme, viewport, bypassCSP: true }, async (page, path) => {
      await page.evaluate(axe);
      const violations = await page.evaluate(async () => {
        const { violations } = await globalThis.axe.run(document, { rules: { 'target-size': { enabled: true } } });
        return violations.map(({ id, help, nodes }) => ({
          id,
          help,
          nodes: nodes.slice(0, 3).map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary}`),
        }));
      });
      found.push(...violations.map((violation) => ({ path, ...violation })));
    });
    assert.deepEqual(found, []);
  });
}

test('no page asks another origin, breaks the content policy or complains in the console', async () => {
  await eachPage({}, async () => {});
});

test('no page has to be scrolled sideways at 390 px', async () => {
  const wide = [];
  await eachPage({ viewport: phone, isMobile: true, hasTouch: true }, async (page, path) => {
    const [content, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    if (content > screen || screen !== 390) wide.push(`${path}: ${content} px on ${screen} px`);
  });
  assert.deepEqual(wide, []);
});

test('every page has one main heading, a title and a language', async () => {
  await eachPage({}, async (page, path) => {
    assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1, path);
    assert.notEqual(await page.title(), '', path);
    assert.equal(await page.locator('html').getAttribute('lang'), 'en', path);
  });
});

test('the front page takes at most 30 KB with its styles and scripts, and does not jump', async () => {
  const { page, context } = await visit(browser, site);
  const network = await context.newCDPSession(page);
  await network.send('Network.enable');
  let bytes = 0;
  network.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
  await page.goto('/', { waitUntil: 'networkidle' });
  assert.equal(await page.locator('.item').count(), 30);
  assert.ok(bytes > 3_000 && bytes <= 30 * 1024, `it took ${bytes} bytes`);
  const shift = await page.evaluate(
    () =>
      new Promise((resolve) => {
        let sum = 0;
        new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (sum += value))).observe({
          type: 'layout-shift',
          buffered: true,
        });
        setTimeout(() => resolve(sum), 200);
      }),
  );
  assert.equal(shift, 0);
  await context.close();
});
