import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { prettyLine } from '../../src/observe/log/server-log.ts';

const TIME = '2026-07-01T12:00:01.123Z';
const line = (record: object) => `${JSON.stringify({ level: 'info', time: TIME, pid: 7, msg: 'hello', ...record })}\n`;
const START = '12:00:01.123 INFO  hello';

const rows: [what: string, line: string, text: string][] = [
  ['a message', line({}), `${START}\n`],
  ['details', line({ worker: 0, workerId: 3, reason: 'crash' }), `${START}  worker=0  workerId=3  reason=crash\n`],
  ['details with spaces', line({ why: 'two words' }), `${START}  why="two words"\n`],
  ['details over several lines', line({ why: 'a\nb\r\u2028' }), `${START}  why="a\\nb\\r\u2028"\n`],
  [
    'details that are objects',
    line({ workers: [{ worker: 0 }], nothing: null }),
    `${START}  workers=[{"worker":0}]  nothing=null\n`,
  ],
  [
    'an error, with its stack',
    line({ err: { type: 'Error', message: 'no', stack: 'Error: no\n    at f' } }),
    `${START}\nError: no\n    at f\n`,
  ],
  ['an error without a stack', line({ err: { message: 'no' } }), `${START}\n`],
  ['an error that is none', line({ err: 'text' }), `${START}\n`],
  ['other levels', line({ level: 'warn' }), '12:00:01.123 WARN  hello\n'],
  ['an unknown level', line({ level: 'notice' }), '12:00:01.123 NOTICE hello\n'],
  ['what is no JSON', 'Segmentation fault\n', 'Segmentation fault\n'],
  ['an empty line', '\n', '\n'],
  ['half a line', '{"level":"info"', '{"level":"info"'],
];

describe('a line for people', () => {
  for (const [what, given, text] of rows) {
    it(what, () => assert.equal(stripVTControlCharacters(prettyLine(given)), text));
  }

  it('is as it was when it is JSON and no record', () => {
    for (const text of ['null\n', '5\n', '"text"\n', '[]\n', 'true\n']) assert.equal(prettyLine(text), text);
  });

  it('has a colour by its level', () => {
    const colours = { trace: 90, debug: 90, info: 32, warn: 33, error: 31, fatal: 31 };
    for (const [level, colour] of Object.entries(colours)) {
      assert.ok(prettyLine(line({ level })).includes(`\u001b[${colour}m${level.toUpperCase()}`), level);
    }
  });

  it('leaves the terminal alone: what came from outside may hold control sequences', () => {
    for (const control of ['\u001b[2J', '\u009b2J', '\u0007', '\u0008', '\u007f', '\u0085']) {
      const text = `/a${control}b`;
      const records = [
        { url: text },
        { url: `two ${text}` },
        { list: [text] },
        { msg: text },
        { err: { stack: text } },
      ];
      for (const printed of records.map((record) => prettyLine(line(record)))) {
        assert.ok(!printed.includes(control), JSON.stringify(printed));
        assert.ok(!/[^\P{Cc}\n]/u.test(stripVTControlCharacters(printed)), JSON.stringify(printed));
      }
    }
  });
});
