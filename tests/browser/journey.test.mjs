// What the site is for, from signing up to logging out, with scripts and without.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { menuOf, openBrowser, signUp, visit } from './browser.mjs';
import { startSite } from './site.mjs';

let site, browser;
before(async () => {
  site = await startSite();
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with JavaScript' : 'without JavaScript';
  const username = javaScriptEnabled ? 'ada' : 'grace';

  test(`someone signs up, submits, votes, comments, replies, edits, deletes and logs out ${how}`, async () => {
    const { page, context, complaints } = await visit(browser, site, { javaScriptEnabled });
    await signUp(page, username);

    // Submit.
    await page.getByRole('banner').getByRole('link', { name: 'Submit' }).click();
    const title = `Ask: what do you read in winter, ${username}?`;
    await page.getByLabel('Title').fill(title);
    await page.getByLabel('Text').fill('Long books, *slowly*.\n\nAnd you?');
    await page.getByRole('main').getByRole('button', { name: 'Submit' }).click();
    await page.waitForURL(/\/posts\/\d+/);
    const post = new URL(page.url()).pathname;
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), title);
    assert.equal(await page.locator('.post em').innerText(), 'slowly');

    // Vote for somebody else's post, and take it back; one's own has no such button.
    await page.goto('/newest');
    assert.equal(await page.getByRole('button', { name: `Upvote: ${title}` }).count(), 0);
    const votable = page.locator('.item').filter({ has: page.getByRole('button', { name: /^Upvote: / }) });
    const item = page.locator(`#${await votable.first().getAttribute('id')}`);
    const vote = (pressed) => item.getByRole('button', { name: /^Upvote: /, pressed });
    const points = async () => Number(await item.locator('.points').innerText());
    const before = await points();
    await vote(false).click();
    await vote(true).waitFor();
    assert.equal(await points(), before + 1);
    await page.goto('/newest');
    await vote(true).click();
    await vote(false).waitFor();
    assert.equal(await points(), before);

    // Comment, and reply to it.
    await page.goto(post);
    await page.getByLabel('Your comment').fill('I begin: `Middlemarch`.');
    await page.getByRole('button', { name: 'Comment', exact: true }).click();
    const comment = page.locator('.thread > .comment').first();
    await comment.getByText('I begin:').waitFor();
    const commentId = await comment.getAttribute('id');
    await comment.getByRole('link', { name: 'reply', exact: true }).click();
    await page.getByLabel('Your reply').fill('Answering myself.');
    await page.getByRole('button', { name: 'Reply', exact: true }).click();
    await page.locator('.comment .comment').getByText('Answering myself.').waitFor();
    await page.goto(post);
    const replies = page.locator(`#${commentId} .comment`);
    assert.equal(await replies.count(), 1, 'the reply hangs under the comment');
    assert.equal(await page.locator('#comments-heading').innerText(), '2 replies');

    // Edit the comment and the post.
    await comment.getByRole('link', { name: 'edit', exact: true }).first().click();
    await page.getByLabel('Your comment').fill('I begin again: `Bleak House`.');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator(`#${commentId}`).getByText('I begin again:').first().waitFor();
    await page.goto(post);
    assert.match(await comment.locator('summary').first().innerText(), /edited/);
    await page.locator('.post').getByRole('link', { name: 'edit', exact: true }).click();
    await page.getByLabel('Title').fill(`${title} Or listen to?`);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.waitForURL(/\/posts\/\d+\//);
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), `${title} Or listen to?`);

    // Delete the comment: the reply stays. Then the post: what was said stays.
    await comment.getByRole('link', { name: 'delete', exact: true }).first().click();
    await page.getByRole('button', { name: 'Delete the comment' }).click();
    await page.getByText('This comment was deleted by its author.').waitFor();
    await page.goto(post);
    assert.equal(await page.getByText('I begin again:').count(), 0);
    assert.equal(await page.getByText('Answering myself.').count(), 1);
    await page.locator('.post').getByRole('link', { name: 'delete', exact: true }).click();
    await page.getByRole('button', { name: 'Delete the post' }).click();
    await page.goto(post);
    assert.equal(await page.getByText('Or listen to?').count(), 0);
    assert.equal(await page.getByText('Answering myself.').count(), 1);

    // Log out.
    await menuOf(page, username).click();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('link', { name: 'Log in', exact: true }).waitFor();
    await page.goto('/submit');
    assert.equal(new URL(page.url()).pathname, '/login', 'a guest is led to log in');

    assert.deepEqual(complaints, []);
    await context.close();
  });

  test(`a guest who votes logs in and comes back ${how}`, async () => {
    const { page, context, complaints } = await visit(browser, site, { javaScriptEnabled });
    await page.goto('/newest');
    await page.getByRole('link', { name: /^Log in to upvote: / }).first().click();
    await page.getByLabel('User name').fill(username);
    await page.getByLabel('Password').fill('seven words make a fine phrase');
    await page.getByRole('main').getByRole('button', { name: 'Log in' }).click();
    await page.waitForURL(`${site.url}/newest`);
    await menuOf(page, username).waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test(`a form that is wrong keeps what was typed and says why ${how}`, async () => {
    const { page, context, complaints } = await visit(browser, site, { javaScriptEnabled });
    await signUp(page, `${username}-too`);
    await page.goto('/submit');
    // What the browser itself would refuse has to get past it first.
    await page.locator('form[action="/posts"]').evaluate((form) => form.setAttribute('novalidate', ''));
    await page.getByLabel('Title').fill('No');
    await page.getByLabel('Text').fill('Here is a text that took an hour to write.');
    await page.getByRole('main').getByRole('button', { name: 'Submit' }).click();
    await page.getByText('Title must be at least 3 characters').first().waitFor();
    assert.equal(await page.getByLabel('Title').inputValue(), 'No');
    assert.equal(await page.getByLabel('Text').inputValue(), 'Here is a text that took an hour to write.');
    assert.deepEqual(complaints, []);
    await context.close();
  });
}
