// Opens Chromium, and pages in it that remember what a careful reader of the console would complain of.
// It must not know what the pages look like.

import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

/** The Chromium of this machine, without anything that it does of its own accord on the network. */
export function openBrowser() {
  const executablePath = execFileSync(
    'sh',
    ['-c', 'command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome'],
    { encoding: 'utf8' },
  ).trim();
  return chromium.launch({
    executablePath,
    // It shows pages of our own only, and containers seldom allow its sandbox.
    chromiumSandbox: false,
    args: ['--disable-background-networking', '--disable-component-update', '--no-first-run', '--disable-dev-shm-usage'],
  });
}

/** Widths that pages are looked at in. */
export const desktop = { width: 1280, height: 900 };
export const phone = { width: 390, height: 844 };

/**
 * A person with a browser of their own, on the site.
 *
 * `complaints` fills with what must never happen: requests to another origin, files that do not come,
 * violations of the content security policy, errors of scripts.
 */
export async function visit(browser, site, options = {}) {
  const context = await browser.newContext({ baseURL: site.url, viewport: desktop, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const complaints = [];
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${site.url}/`) && !url.startsWith('data:')) complaints.push(`asks another origin: ${url}`);
  });
  page.on('requestfailed', (request) => {
    // A navigation cancels what it no longer needs.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') {
      complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
    }
  });
  page.on('response', (response) => {
    if (response.status() >= 400 && response.request().resourceType() !== 'document') {
      complaints.push(`${response.url()}: ${response.status()}`);
    }
  });
  page.on('pageerror', (error) => complaints.push(`script: ${error.message}`));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    // Chromium's own remark on a status, which the responses above already judge.
    if (message.text().startsWith('Failed to load resource')) return;
    complaints.push(`console: ${message.text()}`);
  });
  return { page, context, complaints };
}

/** Signs up as someone new, by the link in the masthead. */
export async function signUp(page, username, password = 'seven words make a fine phrase') {
  await page.goto('/');
  await page.getByRole('link', { name: 'Sign up' }).click();
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('main').getByRole('button', { name: 'Sign up' }).click();
  await menuOf(page, username).waitFor();
}

/** Signs in as someone known, by the link in the masthead. */
export async function logIn(page, { username, password }) {
  await page.goto('/');
  await page.getByRole('link', { name: 'Log in', exact: true }).click();
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('main').getByRole('button', { name: 'Log in' }).click();
  await menuOf(page, username).waitFor();
}

/** The menu in the masthead that carries the name of whoever is signed in. */
export function menuOf(page, username) {
  return page.getByRole('banner').locator('summary', { hasText: username });
}
