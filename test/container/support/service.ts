/** An app as the units in docker/systemd and docker/supervisor expect it, in a directory of the test's own. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { MAIN } from '../../support/server.ts';
import { claimDirectory, DIRECTORY, must, ROOT, run } from './machine.ts';

export const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** The last value of a key, where it is not commented out. */
export function settingIn(file: string, key: string): string {
  const [, value] = new RegExp(`^${key}=(.*)$`, 'm').exec(read(file)) ?? [];
  assert.ok(value !== undefined, `${file} has ${key}=`);
  return value;
}

export function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-units-'));
  chmodSync(directory, 0o755); // for the user that the service changes to
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** What /srv/app is to the units. */
export function installedApp(directory: string, source: string): string {
  mkdirSync(join(directory, 'node_modules/.bin'), { recursive: true });
  symlinkSync(MAIN, join(directory, 'node_modules/.bin/tsunicorn'));
  writeFileSync(join(directory, 'app.js'), source);
  return directory;
}

/** Debian packages; nothing is downloaded where they are there. */
export async function install(...packages: readonly string[]): Promise<void> {
  if ((await run('dpkg', ['-s', ...packages])).code === 0) return;
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }; // at level 1 no daemon is started
  const options = ['-qq', '-o', 'DPkg::Lock::Timeout=300'];
  await must('apt-get', [...options, 'update'], { env });
  await must('apt-get', [...options, '-y', '--no-install-recommends', 'install', ...packages], { env });
}

/**
 * Podman's Quadlet, which turns a .container file into a service: the path of its generator. Debian 12 has Podman
 * 4.3, one release too old, so that of Debian 13 is unpacked beside it.
 */
export async function quadlet(): Promise<string> {
  claimDirectory();
  const directory = join(DIRECTORY, 'quadlet');
  const generator = join(directory, 'podman/usr/libexec/podman/quadlet');
  if (existsSync(generator)) return generator;
  mkdirSync(join(directory, 'lists/partial'), { recursive: true });
  mkdirSync(join(directory, 'archives/partial'), { recursive: true });
  const uri = (await must('apt-get', ['indextargets', '--format', '$(REPO_URI)'])).split('\n')[0];
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const sources = join(directory, 'next.sources');
  writeFileSync(sources, `Types: deb\nURIs: ${uri}\nSuites: trixie\nComponents: main\nSigned-By: ${key}\n`);
  const places = { 'Etc::SourceList': sources, 'Etc::sourceparts': '/nonexistent', Cache: directory };
  const lists = { 'State::lists': join(directory, 'lists') };
  const options = Object.entries({ ...places, ...lists }).flatMap(([name, path]) => ['-o', `Dir::${name}=${path}`]);
  const apt = ['-qq', '-o', 'APT::Sandbox::User=root', ...options];
  await must('apt-get', [...apt, 'update']);
  await must('apt-get', [...apt, 'download', 'podman'], { cwd: directory });
  await must('sh', ['-c', 'dpkg-deb -x podman_*.deb podman && rm -r podman_*.deb lists archives'], { cwd: directory });
  return generator;
}
