// The site without a mouse.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { logIn, menuOf, openBrowser, signUp, visit } from './browser.mjs';
import { startSite } from './site.mjs';

const reader = { username: 'reader', password: 'nine quiet hours by the lamp' };

let site, browser;
before(async () => {
  site = await startSite();
  browser = await openBrowser();
  const { page, context } = await visit(browser, site);
  await signUp(page, reader.username, reader.password);
  await context.close();
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

/** Presses Tab until what has focus matches the selector. */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
  }
  assert.fail(`Tab does not reach ${selector}`);
}

/** The id of the list item or comment that holds the focus. */
const focused = (page) => page.evaluate(() => document.activeElement.closest('.item, .comment')?.id);

test('the first Tab offers to skip to the content', async () => {
  const { page, context } = await visit(browser, site);
  await page.goto('/');
  await page.keyboard.press('Tab');
  const skip = page.getByRole('link', { name: 'Skip to content' });
  assert.ok(await skip.evaluate((link) => link === document.activeElement));
  assert.ok(await skip.isVisible());
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await context.close();
});

test('someone logs in, submits and logs out with the keyboard alone', async () => {
  const { page, context, complaints } = await visit(browser, site);
  await page.goto('/login');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'username');
  await page.keyboard.type(reader.username);
  await page.keyboard.press('Tab');
  await page.keyboard.type(reader.password);
  await page.keyboard.press('Enter');
  await menuOf(page, reader.username).waitFor();
  await tabTo(page, 'a[href="/submit"]');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/submit');
  await tabTo(page, '#title');
  await page.keyboard.type('Show: a lamp that dims itself');
  await tabTo(page, '#text');
  await page.keyboard.type('It has no switch at all.');
  await tabTo(page, 'form.form button.primary');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/posts\/\d+/);
  await tabTo(page, '.menu summary');
  await page.keyboard.press('Enter');
  await tabTo(page, '.menu button');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Log in', exact: true }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a vote by Enter is announced and keeps the focus', async () => {
  const { page, context, complaints } = await visit(browser, site);
  await logIn(page, reader);
  await page.goto('/newest');
  await tabTo(page, '.item form.vote button');
  const item = await focused(page);
  await page.keyboard.press('Enter');
  await page.locator(`#${item} button[aria-pressed=true]`).waitFor();
  await page.waitForFunction(() => document.activeElement.matches('button[aria-pressed=true]'));
  assert.equal(await focused(page), item);
  await page.waitForFunction(() => document.getElementById('announcement').textContent !== '');
  assert.equal(new URL(page.url()).pathname, '/newest', 'the page stays');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('j and k walk through a list, o, c and u act on what is there', async () => {
  const { page, context, complaints } = await visit(browser, site);
  await logIn(page, reader);
  await page.goto('/top?period=all');
  const ids = await page.locator('.item').evaluateAll((items) => items.map(({ id }) => id));
  await page.keyboard.press('j');
  assert.equal(await focused(page), ids[0]);
  await page.keyboard.press('j');
  assert.equal(await focused(page), ids[1]);
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  assert.equal(await focused(page), ids[1]);
  await page.keyboard.press('u');
  await page.locator(`#${ids[1]} button[aria-pressed=true]`).waitFor();
  await page.keyboard.press('c');
  await page.waitForURL(/\/posts\/\d+.*#comments/);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('typing a letter in a field stays in the field', async () => {
  const { page, context } = await visit(browser, site);
  await logIn(page, reader);
  await page.goto('/submit');
  await page.getByLabel('Title').focus();
  await page.keyboard.type('jkocun');
  assert.equal(await page.getByLabel('Title').inputValue(), 'jkocun');
  assert.equal(new URL(page.url()).pathname, '/submit');
  await context.close();
});

test('a fold opens and closes by Enter and says what it hides', async () => {
  const { page, context } = await visit(browser, site);
  await page.goto('/top?period=all');
  await page.locator('.item', { hasNot: page.locator('.replies b', { hasText: /^[01]$/ }) }).first()
    .locator('.replies').click();
  const fold = page.locator('.comment:has(.comment) > article > details').first();
  const summary = fold.locator('> summary');
  await summary.focus();
  await page.keyboard.press('Enter');
  assert.equal(await fold.evaluate(({ open }) => open), false);
  assert.match(await summary.innerText(), /collapsed, \d+ repl(y|ies)/);
  await page.keyboard.press('Enter');
  assert.equal(await fold.evaluate(({ open }) => open), true);
  await context.close();
});
