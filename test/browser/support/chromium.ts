/** A real Chromium: the one that is installed, or Debian's. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';

const PATHS = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Without a screen, and without requests of its own. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const find = (): string | undefined => PATHS.find((path) => path !== '' && existsSync(path));

/** Why there can be no browser here; false where there is one. Installs it where that is possible. */
export async function skipReason(): Promise<string | false> {
  if (find()) return false;
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    return `needs Chromium at one of ${PATHS.filter(Boolean).join(', ')}, or in CHROMIUM; as root on Debian it is installed`;
  }
  const apt = async (...args: string[]): Promise<void> => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    await promisify(execFile)('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], { env, timeout: 600_000 });
  };
  await apt('update');
  await apt('-y', '--no-install-recommends', 'install', 'chromium', 'fonts-inter');
  return false;
}

/** With a profile of its own, which goes when it is closed. */
export async function launch(): Promise<Browser> {
  const executablePath = find();
  if (executablePath === undefined) throw new Error('there is no Chromium');
  return await chromium.launch({ executablePath, args: FLAGS });
}
