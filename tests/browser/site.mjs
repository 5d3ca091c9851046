// Starts the real binary for a test: on a free port, with a PostgreSQL and a Redis of its own in a
// temporary folder (or on DATABASE_URL and REDIS_URL, if set), filled with a small demo.
// It must not know what the pages look like.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const binary =
  process.env.BETTERNEWS_BIN ??
  join(process.env.CARGO_TARGET_DIR ?? join(repository, 'target'), 'debug/betternews');

/** The administrator that every site is started with. */
export const operator = { username: 'operator', password: 'a quiet harbour at dawn' };

/**
 * @param {{ posts?: number, comments?: number, users?: number, env?: Record<string, string> }} options
 * @returns {Promise<{ url: string, stop: () => Promise<void> }>} once the site answers
 */
export async function startSite({ posts = 60, comments = 600, users = 40, env = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'betternews-'));
  // Started by root, PostgreSQL runs as another user, who has to reach its files.
  await chmod(folder, 0o755);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const environment = {
    ...process.env,
    APP_ENV: 'development',
    BIND: `127.0.0.1:${port}`,
    BASE_URL: url,
    SECRET_KEY: 'a secret for tests only and of no use elsewhere',
    BETTERNEWS_DATA_DIR: folder,
    // One address stands for many people here.
    FEATURE_RATE_LIMITING: 'false',
    LOG_LEVEL: 'warn',
    ...env,
  };

  const seed = ['seed', 'demo', '--if-empty', '--seed', '7'];
  await run(environment, [...seed, '--posts', `${posts}`, '--comments', `${comments}`, '--users', `${users}`]);
  await run(
    environment,
    ['admin', 'create', '--username', operator.username, '--email', 'operator@example.org', '--password-stdin'],
    operator.password,
  );

  const server = spawn(binary, ['serve'], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = collect(server);
  const endWithUs = () => server.kill('SIGTERM');
  process.once('exit', endWithUs);

  const stop = async () => {
    process.off('exit', endWithUs);
    if (server.exitCode === null && server.signalCode === null) {
      const exited = once(server, 'exit');
      server.kill('SIGTERM');
      // A second signal forces what the first asked for.
      const force = setTimeout(() => server.kill('SIGTERM'), 500);
      await exited;
      clearTimeout(force);
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };

  for (const deadline = Date.now() + 60_000; ; await sleep(50)) {
    if (server.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`the site did not start:\n${said()}`);
    }
    const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
    if (answer?.ok) return { url, stop };
  }
}

async function run(env, commandLine, input = '') {
  const child = spawn(binary, commandLine, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const said = collect(child);
  // One that ends without reading says why itself.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`betternews ${commandLine.join(' ')} ended with ${code}:\n${said()}`);
}

function collect(child) {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part) => (text = (text + part).slice(-20_000)));
  }
  return () => text;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
