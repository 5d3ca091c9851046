// Takes the pictures for script/shots: node shots.mjs [NAME...]

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { desktop, logIn, openBrowser, phone, visit } from './browser.mjs';
import { memberPages, operatorPages, publicPages } from './pages.mjs';
import { operator, startSite } from './site.mjs';

const only = process.argv.slice(2);
const folder = fileURLToPath(new URL('../../bench/shots/', import.meta.url));
await mkdir(folder, { recursive: true });

const site = await startSite({ posts: 500, comments: 5000, users: 200 });
const browser = await openBrowser();
try {
  const { page, context } = await visit(browser, site);
  const forGuests = await publicPages(page);
  await logIn(page, operator);
  const storageState = await context.storageState();
  const [, thread] = forGuests.find(([name]) => name === 'thread');
  const forTheOperator = [...memberPages(thread, operator.username), ...operatorPages(operator.username)];
  let taken = 0;
  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of [desktop, phone]) {
      for (const [pages, state] of [[forGuests, undefined], [forTheOperator, storageState]]) {
        const { page, context } = await visit(browser, site, { colorScheme, viewport, storageState: state });
        for (const [name, path] of pages) {
          if (only.length > 0 && !only.includes(name)) continue;
          await page.goto(path, { waitUntil: 'networkidle' });
          await page.screenshot({ path: `${folder}${name}-${viewport.width}-${colorScheme}.png` });
          taken += 1;
        }
        await context.close();
      }
    }
  }
  console.log(`${taken} pictures in bench/shots/`);
} finally {
  await browser.close();
  await site.stop();
}
