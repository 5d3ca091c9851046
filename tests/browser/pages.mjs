// The pages that are looked at, each with a name and its path. Some paths are read off the site: the longest
// thread, one of a size that people read, one of its comments, its author.

/** Pages for anyone. */
export async function publicPages(page) {
  await page.goto('/top?period=all');
  const threads = await page.locator('.item').evaluateAll((items) =>
    items.map((item) => ({
      replies: Number(item.querySelector('.replies b').textContent),
      path: new URL(item.querySelector('.replies').href).pathname,
      user: item.querySelector('.facts .author')?.getAttribute('href'),
    })),
  );
  const nearest = (replies) =>
    threads
      .filter(({ user }) => user)
      .sort((a, b) => Math.abs(a.replies - replies) - Math.abs(b.replies - replies))[0];
  const [longest, thread] = [nearest(10_000), nearest(40)];
  const origin = await page.locator('.item .origin').first().getAttribute('href');
  const tag = await page.locator('.item .facts a[href^="/tags/"]').first().getAttribute('href');
  await page.goto(thread.path);
  const comment = await page.locator('.comment .comment .permalink').first().getAttribute('href');
  return [
    ['front', '/'],
    ['newest', '/newest'],
    ['active', '/active'],
    ['top', '/top?period=all'],
    ['comments', '/comments'],
    ['ask', '/ask'],
    ['show', '/show'],
    ['longest-thread', longest.path],
    ['thread', thread.path],
    ['comment', comment],
    ['profile', thread.user],
    ['posts-of-a-user', `${thread.user}/posts`],
    ['comments-of-a-user', `${thread.user}/comments`],
    ['tags', '/tags'],
    ['tag', tag],
    ['domain', origin],
    ['moderation-log', '/moderation/log'],
    ['about', '/about'],
    ['guidelines', '/guidelines'],
    ['privacy', '/privacy'],
    ['login', '/login'],
    ['signup', '/signup'],
    ['not-found', '/no-such-page'],
  ];
}

/** Pages for whoever is signed in, on a thread that others have written. */
export function memberPages(thread, username) {
  return [
    ['front-signed-in', '/'],
    ['thread-signed-in', thread],
    ['submit', '/submit'],
    ['threads', '/threads'],
    ['own-profile', `/users/${username}`],
    ['settings-profile', '/settings/profile'],
    ['settings-password', '/settings/password'],
    ['settings-preferences', '/settings/preferences'],
    ['settings-sessions', '/settings/sessions'],
  ];
}

/** Pages for the administrator. */
export function operatorPages(username) {
  return [
    ['console', '/admin'],
    ['console-users', '/admin/users'],
    ['console-user', `/admin/users/${username}`],
  ];
}
