/** What every setting's good values become, and the exact message for the bad ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSettings } from '../../src/config/load.ts';
import { SETTINGS, type Settings } from '../../src/config/settings.ts';
import { ConfigError } from '../../src/errors.ts';
import type { Case } from './config-address-cases.ts';
import { CASES, ROOM } from './config-cases.ts';

function load(env: Record<string, string>) {
  return loadSettings({ env, cwd: '/srv/app', isTerminal: false });
}

const escaped = (text: string) =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this looks for
  text.replace(/[\u0000-\u001f\u007f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** What is wrong with the bad values that have something around them: alone they are good. */
function leftBehind(text: string): string {
  const what = text.trim() !== text ? 'space' : /^(["']).*\1$/.test(text) ? 'quotes' : undefined;
  return what ? `; remove the ${what} (docker run --env-file takes all that follows the = as the value)` : '';
}

for (const [key, { good, bad, accepts }] of Object.entries(CASES) as [keyof Settings, Case][]) {
  const { name, parser } = SETTINGS[key];
  for (const [text, value] of Object.entries(good)) {
    test(`${name}=${escaped(text)} is read, and written in a form that reads the same`, () => {
      const env = { ...ROOM[key], [name]: text };
      const { settings, origins } = load(env);
      assert.deepEqual(settings[key], value);
      assert.equal(origins[key].variable, name);
      const written = (parser.format as (value: unknown) => string)(value);
      assert.deepEqual(load({ ...env, [name]: written }).settings[key], value);
    });
  }
  for (const [text, detail] of Object.entries(bad)) {
    test(`${name}=${escaped(text)} is refused`, () => {
      const message = `${name}=${escaped(text)}: must be ${accepts}${detail && ` (${detail})`}${leftBehind(text)}`;
      assert.throws(
        () => load({ ...ROOM[key], [name]: text }),
        (error) => error instanceof ConfigError && error.message === message,
      );
    });
  }
}

test('the variable follows from the key', () => {
  for (const [key, { name }] of Object.entries(SETTINGS)) {
    const upper = key.replace(/[A-Z]/g, '_$&').toUpperCase();
    assert.equal(name, key === 'host' || key === 'port' ? upper : `TSUNICORN_${upper}`);
  }
});
