import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { Peer, trustIn } from '../../src/worker/http/peer.ts';

/** The client behind a peer at `remote`; '' is a unix socket. */
function clientBehind(allowed: readonly string[]) {
  const trusts = trustIn(allowed);
  return (remote: string, headers: Parameters<Peer['clientOf']>[0]): string =>
    new Peer(remote === '' ? 'unix' : 'tcp', remote, trusts).clientOf(headers);
}

/** The peer, X-Forwarded-For, Forwarded, and who the client is. */
type Row = [remote: string, forwardedFor: string, forwarded: string, client: string];

const tables: Record<string, { allowed: string[]; rows: Row[] }> = {
  'nothing forwarded': {
    allowed: ['loopback'],
    rows: [
      ['127.0.0.1', '', '', '127.0.0.1'],
      ['203.0.113.9', '', '', '203.0.113.9'],
      ['', '', '', ''],
    ],
  },
  'a peer that is not trusted': {
    allowed: ['loopback'],
    rows: [
      ['203.0.113.9', '6.6.6.6', '', '203.0.113.9'],
      ['203.0.113.9', '', 'for=6.6.6.6', '203.0.113.9'],
      ['203.0.113.9', '127.0.0.1', '', '203.0.113.9'],
      ['::2', '6.6.6.6', '', '::2'],
      ['fe80::1%eth0', '6.6.6.6', '', 'fe80::1%eth0'],
    ],
  },
  'a trusted peer': {
    allowed: ['loopback'],
    rows: [
      ['127.0.0.1', '198.51.100.7', '', '198.51.100.7'],
      ['127.255.255.254', '198.51.100.7', '', '198.51.100.7'],
      ['::1', '198.51.100.7', '', '198.51.100.7'],
      ['::ffff:127.0.0.1', '198.51.100.7', '', '198.51.100.7'],
      ['127.0.0.1', ' 198.51.100.7 ', '', '198.51.100.7'],
      ['127.0.0.1', '198.51.100.7:4711', '', '198.51.100.7'],
      ['127.0.0.1', '2001:db8::7', '', '2001:db8::7'],
      ['127.0.0.1', '[2001:db8::7]', '', '2001:db8::7'],
      ['127.0.0.1', '[2001:db8::7]:4711', '', '2001:db8::7'],
      ['127.0.0.1', '::ffff:198.51.100.7', '', '::ffff:198.51.100.7'],
    ],
  },
  'a peer on a unix socket': {
    allowed: [],
    rows: [
      ['', '198.51.100.7', '', '198.51.100.7'],
      ['', '6.6.6.6, 198.51.100.7', '', '198.51.100.7'],
      ['', '', 'for=198.51.100.7', '198.51.100.7'],
      ['', 'rubbish', '', ''],
    ],
  },
  'several hops: the first from the right that is no trusted proxy': {
    allowed: ['loopback', '10.0.0.0/8', '192.0.2.1', '2001:db8:1::/48'],
    rows: [
      ['127.0.0.1', '6.6.6.6, 198.51.100.7', '', '198.51.100.7'],
      ['127.0.0.1', '6.6.6.6,198.51.100.7,10.1.2.3', '', '198.51.100.7'],
      ['127.0.0.1', '6.6.6.6, 198.51.100.7, 192.0.2.1, 10.1.2.3', '', '198.51.100.7'],
      ['127.0.0.1', '6.6.6.6, 198.51.100.7, 2001:db8:1::5', '', '198.51.100.7'],
      ['127.0.0.1', '6.6.6.6, 198.51.100.7, 2001:db8:2::5', '', '2001:db8:2::5'],
      ['127.0.0.1', '6.6.6.6, 198.51.100.7, 192.0.2.2', '', '192.0.2.2'],
      ['127.0.0.1', '6.6.6.6, 198.51.100.7, 11.0.0.1', '', '11.0.0.1'],
      ['127.0.0.1', '10.0.0.5, 10.0.0.4', '', '10.0.0.5'],
      ['127.0.0.1', '', 'for=6.6.6.6, for=198.51.100.7;proto=https, for=10.1.2.3', '198.51.100.7'],
    ],
  },
  'rubbish: nothing behind it is believed': {
    allowed: ['loopback', '10.0.0.0/8'],
    rows: [
      ['127.0.0.1', 'unknown', '', '127.0.0.1'],
      ['127.0.0.1', '6.6.6.6, unknown', '', '127.0.0.1'],
      ['127.0.0.1', '6.6.6.6, unknown, 10.0.0.4', '', '10.0.0.4'],
      ['127.0.0.1', '6.6.6.6,', '', '127.0.0.1'],
      ['127.0.0.1', ',,,', '', '127.0.0.1'],
      ['127.0.0.1', '6.6.6.6, ,10.0.0.4', '', '10.0.0.4'],
      ['127.0.0.1', '999.1.1.1', '', '127.0.0.1'],
      ['127.0.0.1', '1.2.3', '', '127.0.0.1'],
      ['127.0.0.1', '0x7f.1', '', '127.0.0.1'],
      ['127.0.0.1', '198.51.100.7:', '', '127.0.0.1'],
      ['127.0.0.1', '198.51.100.7:80:80', '', '127.0.0.1'],
      ['127.0.0.1', '[198.51.100.7', '', '127.0.0.1'],
      ['127.0.0.1', '[2001:db8::7]x', '', '127.0.0.1'],
      ['127.0.0.1', '198.51.100.7<script>', '', '127.0.0.1'],
      ['127.0.0.1', '198.51.100.7 6.6.6.6', '', '127.0.0.1'],
      ['127.0.0.1', `${'6.6.6.6, '.repeat(2000)}198.51.100.7`, '', '198.51.100.7'],
      ['127.0.0.1', 'fe80::1%eth0, 10.0.0.4', '', 'fe80::1%eth0'],
      ['127.0.0.1', '', 'for=_hidden', '127.0.0.1'],
      ['127.0.0.1', '', 'for=unknown', '127.0.0.1'],
      ['127.0.0.1', '', 'proto=https', '127.0.0.1'],
      ['127.0.0.1', '', 'for=', '127.0.0.1'],
      ['127.0.0.1', '', 'xfor=6.6.6.6', '127.0.0.1'],
      ['127.0.0.1', '', ';;;=,"', '127.0.0.1'],
      ['127.0.0.1', '', 'for=6.6.6.6,"', '127.0.0.1'],
      ['127.0.0.1', '', 'for=6.6.6.6;host="x', '127.0.0.1'],
      // The client opens a quoted string that the proxy's own one then closes.
      ['127.0.0.1', '', 'for=6.6.6.6;a=", for="[2001:db8::7]"', '127.0.0.1'],
      ['127.0.0.1', '', 'for=6.6.6.6;a=", for=198.51.100.7;host="h"', '127.0.0.1'],
      // The access log writes addresses as they are.
      ['127.0.0.1', 'fe80::1%a"b', '', '127.0.0.1'],
      ['127.0.0.1', 'fe80::1%a\\b', '', '127.0.0.1'],
      ['127.0.0.1', 'fe80::1%a\u00e9', '', '127.0.0.1'],
    ],
  },
  'Forwarded in every form of RFC 7239, section 4': {
    allowed: ['loopback'],
    rows: [
      ['127.0.0.1', '', 'for=192.0.2.43', '192.0.2.43'],
      ['127.0.0.1', '', 'For="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
      ['127.0.0.1', '', 'for="192.0.2.43:47011"', '192.0.2.43'],
      ['127.0.0.1', '', 'for=192.0.2.60;proto=http;by=203.0.113.43', '192.0.2.60'],
      ['127.0.0.1', '', 'by=203.0.113.43;FOR=192.0.2.60', '192.0.2.60'],
      ['127.0.0.1', '', 'by=203.0.113.43 ; for=192.0.2.60', '192.0.2.60'],
      ['127.0.0.1', '', 'for=192.0.2.43,for="[2001:db8:cafe::17]"', '2001:db8:cafe::17'],
    ],
  },
  'Forwarded with quoted strings, in which commas and semicolons are mere text': {
    allowed: ['loopback'],
    rows: [
      ['127.0.0.1', '', 'for=198.51.100.7;host="x,for=6.6.6.6"', '198.51.100.7'],
      ['127.0.0.1', '', 'for=198.51.100.7;host="x, for=6.6.6.6"', '198.51.100.7'],
      ['127.0.0.1', '', 'host="x;for=6.6.6.6";for=198.51.100.7', '198.51.100.7'],
      ['127.0.0.1', '', 'host="\\";for=6.6.6.6";for=198.51.100.7', '198.51.100.7'],
      ['127.0.0.1', '', 'for=198.51.100.7;host="\\",for=6.6.6.6"', '198.51.100.7'],
    ],
  },
  'a proxy that writes X-Forwarded-For and passes on what the client sent as Forwarded': {
    allowed: ['loopback'],
    rows: [
      ['127.0.0.1', '198.51.100.7', 'for=6.6.6.6', '198.51.100.7'],
      ['', '198.51.100.7', 'for=6.6.6.6', '198.51.100.7'],
    ],
  },
  'every proxy trusted': {
    allowed: ['*'],
    rows: [
      ['203.0.113.9', '198.51.100.7', '', '198.51.100.7'],
      ['203.0.113.9', '6.6.6.6, 198.51.100.7', '', '6.6.6.6'],
      ['2001:db8::1', '198.51.100.7', '', '198.51.100.7'],
      ['203.0.113.9', 'rubbish', '', '203.0.113.9'],
    ],
  },
  'only unix sockets trusted': {
    allowed: [],
    rows: [
      ['127.0.0.1', '198.51.100.7', '', '127.0.0.1'],
      ['::1', '198.51.100.7', '', '::1'],
    ],
  },
  'named ranges': {
    allowed: ['linklocal', 'uniquelocal'],
    rows: [
      ['169.254.1.1', '198.51.100.7', '', '198.51.100.7'],
      ['169.253.1.1', '198.51.100.7', '', '169.253.1.1'],
      ['fe80::1', '198.51.100.7', '', '198.51.100.7'],
      ['fe80::1%eth0', '198.51.100.7', '', '198.51.100.7'],
      ['fec0::1', '198.51.100.7', '', 'fec0::1'],
      ['10.255.0.1', '198.51.100.7', '', '198.51.100.7'],
      ['172.31.0.1', '198.51.100.7', '', '198.51.100.7'],
      ['172.32.0.1', '198.51.100.7', '', '172.32.0.1'],
      ['172.15.0.1', '198.51.100.7', '', '172.15.0.1'],
      ['192.168.9.9', '198.51.100.7', '', '198.51.100.7'],
      ['fd00::1', '198.51.100.7', '', '198.51.100.7'],
      ['::ffff:10.0.0.1', '198.51.100.7', '', '198.51.100.7'],
      ['127.0.0.1', '198.51.100.7', '', '127.0.0.1'],
    ],
  },
  'ranges of any width': {
    allowed: ['203.0.113.128/25', '198.51.100.7/32', '0.0.0.0/32', '2001:db8::/127'],
    rows: [
      ['203.0.113.128', '192.0.2.1', '', '192.0.2.1'],
      ['203.0.113.127', '192.0.2.1', '', '203.0.113.127'],
      ['198.51.100.7', '192.0.2.1', '', '192.0.2.1'],
      ['198.51.100.8', '192.0.2.1', '', '198.51.100.8'],
      ['2001:db8::1', '192.0.2.1', '', '192.0.2.1'],
      ['2001:db8::2', '192.0.2.1', '', '2001:db8::2'],
    ],
  },
};

for (const [what, { allowed, rows }] of Object.entries(tables)) {
  describe(`the client behind ${allowed.join(' ') || 'no trusted proxies'}: ${what}`, () => {
    const clientOf = clientBehind(allowed);
    for (const [remote, forwardedFor, forwarded, client] of rows) {
      it(`${remote || 'unix'} | ${forwardedFor.slice(-60)} | ${forwarded}`, () => {
        assert.equal(clientOf(remote, { forwardedFor, forwarded }), client);
      });
    }
  });
}

describe('the whole internet as a range', () => {
  it('trusts each address of its family alone', () => {
    const clientOf = clientBehind(['0.0.0.0/0']);
    assert.equal(clientOf('203.0.113.9', { forwardedFor: '6.6.6.6', forwarded: '' }), '6.6.6.6');
    assert.equal(clientOf('2001:db8::1', { forwardedFor: '6.6.6.6', forwarded: '' }), '2001:db8::1');
  });
});

describe('a hostile header as long as a header may be', () => {
  const LENGTH = 16 * 1024;
  const clientOf = clientBehind(['loopback']);
  for (const piece of [
    ' ',
    '\t ',
    '"',
    '\\',
    '=',
    ';',
    ',',
    'for=',
    'for="',
    'for="\\"',
    ' for=1.1.1.1;',
    '[',
    '1.',
    '1:',
    '%',
    'fe80::%,',
  ]) {
    it(`of ${JSON.stringify(piece)} takes no time`, () => {
      const text = piece.repeat(LENGTH / piece.length);
      const started = performance.now();
      for (const end of ['', '"', 'x', ',']) {
        clientOf('127.0.0.1', { forwardedFor: text + end, forwarded: '' });
        clientOf('127.0.0.1', { forwardedFor: '', forwarded: text + end });
      }
      assert.ok(performance.now() - started < 500);
    });
  }
});

describe('the peer of a socket', () => {
  const everyone = () => true;
  const socket = (remoteAddress?: string) => ({ remoteAddress }) as Socket;

  it('has its address and whether it is trusted', () => {
    const { address, trusted } = Peer.of(socket('192.0.2.1'), 'tcp', everyone) ?? assert.fail();
    assert.deepEqual([address, trusted], ['192.0.2.1', true]);
    assert.equal(Peer.of(socket(), 'unix', everyone)?.address, '');
  });

  it('is none where the client has reset the connection', () => {
    assert.equal(Peer.of(socket(), 'tcp', everyone), undefined);
  });

  it('is not trusted where the app itself accepted it', () => {
    const { address, trusted } = Peer.untrusted(socket('127.0.0.1'));
    assert.deepEqual([address, trusted, Peer.untrusted(socket()).address], ['127.0.0.1', false, '']);
  });
});
