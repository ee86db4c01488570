import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type OriginHeaders, Peer, trustIn } from '../../src/worker/http/peer.ts';

/** The peer, what it forwards, and the resulting scheme, host and client. */
type Row = [what: string, remote: string, headers: Partial<OriginHeaders>, ...origin: (string | undefined)[]];

const PROXY = '10.0.0.1';
const rows: Row[] = [
  ['nothing forwarded', PROXY, {}, undefined, undefined, PROXY],
  [
    'a peer that is not trusted',
    '203.0.113.9',
    { forwardedProto: 'https', forwardedHost: 'a', forwardedFor: '1.2.3.4' },
    undefined,
    undefined,
    '203.0.113.9',
  ],
  ['a unix socket', '', { forwardedProto: 'https', forwardedHost: 'a.example' }, 'https', 'a.example', ''],
  ['only the scheme', PROXY, { forwardedProto: 'https' }, 'https', undefined, PROXY],
  ['a scheme in capitals', PROXY, { forwardedProto: 'HTTPS' }, 'https', undefined, PROXY],
  ['a scheme that is none', PROXY, { forwardedProto: 'javascript' }, undefined, undefined, PROXY],
  [
    'all three',
    PROXY,
    { forwardedFor: '1.2.3.4', forwardedProto: 'https', forwardedHost: 'a:8443' },
    'https',
    'a:8443',
    '1.2.3.4',
  ],
  [
    'a forged value before the proxy’s own',
    PROXY,
    { forwardedFor: '6.6.6.6, 1.2.3.4', forwardedProto: 'http, https', forwardedHost: 'evil, a' },
    'https',
    'a',
    '1.2.3.4',
  ],
  [
    'two proxies that append',
    PROXY,
    { forwardedFor: '1.2.3.4, 10.0.0.2', forwardedProto: 'https, http', forwardedHost: 'a, b' },
    'https',
    'a',
    '1.2.3.4',
  ],
  [
    'two proxies, and the inner one replaces',
    PROXY,
    { forwardedFor: '1.2.3.4, 10.0.0.2', forwardedProto: 'https' },
    'https',
    undefined,
    '1.2.3.4',
  ],
  [
    'two proxies that append, and a forged value',
    PROXY,
    { forwardedFor: '6.6.6.6, 1.2.3.4, 10.0.0.2', forwardedProto: 'http, https, http' },
    'https',
    undefined,
    '1.2.3.4',
  ],
  ['Forwarded', PROXY, { forwarded: 'for=1.2.3.4;proto=https;host="a.example:1"' }, 'https', 'a.example:1', '1.2.3.4'],
  [
    'Forwarded by two proxies',
    PROXY,
    { forwarded: 'for=1.2.3.4;proto=https;host=a, for=10.0.0.2;proto=http;host=b' },
    'https',
    'a',
    '1.2.3.4',
  ],
  [
    'Forwarded with a forged element',
    PROXY,
    { forwarded: 'for=6.6.6.6;proto=http;host=evil, for=1.2.3.4;proto=https;host=a' },
    'https',
    'a',
    '1.2.3.4',
  ],
  [
    'Forwarded beside an older header',
    PROXY,
    { forwarded: 'proto=http;host=evil', forwardedProto: 'https' },
    'https',
    undefined,
    PROXY,
  ],
  ['Forwarded with an open quote', PROXY, { forwarded: 'proto=https;host="a' }, undefined, undefined, PROXY],
];

describe('what a request’s URL is made of', () => {
  const trusts = trustIn(['10.0.0.0/8']);
  for (const [what, remote, headers, scheme, host, client] of rows) {
    it(what, () => {
      const nothing = { forwardedFor: '', forwarded: '', forwardedProto: '', forwardedHost: '' };
      const peer = new Peer(remote === '' ? 'unix' : 'tcp', remote, trusts);
      assert.deepEqual(peer.originOf({ ...nothing, ...headers }), { client, scheme, host });
    });
  }
});
