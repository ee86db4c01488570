import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ConfigError } from '../../src/errors.ts';
import { identityOf } from '../../src/platform/users.ts';

const rowsOf = (file: string): string[][] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => /^[a-z]/.test(line))
    .map((line) => line.split(':'));

const users = rowsOf('/etc/passwd').map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
const groups = rowsOf('/etc/group').map(([name = '', , gid]) => ({ name, gid: Number(gid) }));
/** One whose group has another number, where the machine has one. */
const user = users.find((u) => u.uid !== u.gid) ?? users.at(-1) ?? { name: 'root', uid: 0, gid: 0 };
const group = groups.find((g) => g.gid !== user.gid) ?? { name: 'root', gid: 0 };

describe('whom the workers run as', () => {
  const known: [what: string, user: string | undefined, group: string | undefined, identity: object][] = [
    ['no user named', undefined, undefined, {}],
    ['root', 'root', undefined, { uid: 0, gid: 0 }],
    ['a user by name, with its own group', user.name, undefined, { uid: user.uid, gid: user.gid }],
    ['a user by number, with its own group', String(user.uid), undefined, { uid: user.uid, gid: user.gid }],
    ['a group by name', undefined, group.name, { gid: group.gid }],
    ['a group by number', undefined, String(group.gid), { gid: group.gid }],
    ['a user and another group', user.name, group.name, { uid: user.uid, gid: group.gid }],
    ['a number that the machine does not know', '54321', undefined, { uid: 54321 }],
    ['a group’s number that the machine does not know', undefined, '54321', { gid: 54321 }],
    ['both', '54321', '54322', { uid: 54321, gid: 54322 }],
  ];
  for (const [what, u, g, identity] of known) it(what, () => assert.deepEqual(identityOf(u, g), identity));

  const unknown: [user: string | undefined, group: string | undefined, message: RegExp][] = [
    ['no-such-user', undefined, /^TSUNICORN_USER=no-such-user: not in \/etc\/passwd: use a name/],
    [undefined, 'no-such-group', /^TSUNICORN_GROUP=no-such-group: not in \/etc\/group: use a name/],
    ['-1', undefined, /TSUNICORN_USER/],
    ['1.5', undefined, /TSUNICORN_USER/],
    ['0x0', undefined, /TSUNICORN_USER/],
    ['root:x', undefined, /TSUNICORN_USER/],
    ['/root', undefined, /TSUNICORN_USER/],
    ['', undefined, /TSUNICORN_USER/],
    [undefined, '', /TSUNICORN_GROUP/],
    ['x', undefined, /TSUNICORN_USER/],
  ];
  for (const [u, g, message] of unknown) {
    it(`is not ${JSON.stringify(u ?? g)}`, () => {
      assert.throws(
        () => identityOf(u, g),
        (error) => {
          assert.ok(error instanceof ConfigError, String(error));
          assert.equal(error.status, 78);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});
