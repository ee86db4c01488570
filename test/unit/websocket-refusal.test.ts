import assert from 'node:assert/strict';
import http, { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { refusalOfWebSocket } from '../../src/worker/http/gate.ts';
import { HANDSHAKE } from '../support/raw.ts';

function request(method: string, headers: Readonly<Record<string, string>>): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  message.method = method;
  for (const [name, value] of Object.entries(headers)) {
    message.rawHeaders.push(name, value);
    message.headers[name.toLowerCase()] = value;
  }
  return message;
}

const rows: [what: string, method: string, headers: Readonly<Record<string, string>>, status: number | undefined][] = [
  ['no Upgrade', 'GET', { Connection: 'keep-alive' }, undefined],
  ['a handshake', 'GET', HANDSHAKE, 426],
  ['a handshake among other offers', 'GET', { ...HANDSHAKE, Upgrade: 'h2c, WebSocket', Connection: 'x, upgrade' }, 426],
  ['names in capitals', 'GET', { ...HANDSHAKE, UPGRADE: 'WEBSOCKET' }, 426],
  ['a handshake by POST', 'POST', HANDSHAKE, 400],
  ['a handshake without key', 'GET', { Connection: 'Upgrade', Upgrade: 'websocket' }, 400],
  ['a key of 15 bytes', 'GET', { ...HANDSHAKE, 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' }, 400],
  ['a key that is no base64', 'GET', { ...HANDSHAKE, 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZ!==' }, 400],
  ['h2c', 'GET', { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c' }, undefined],
  ['Upgrade that is not in Connection', 'GET', { ...HANDSHAKE, Connection: 'keep-alive' }, undefined],
];

describe('a WebSocket handshake at an app without an upgrade listener', () => {
  const server = http.createServer();
  for (const [what, method, headers, status] of rows) {
    it(`${what}: ${status ?? 'to the app'}`, () => {
      assert.equal(refusalOfWebSocket(request(method, headers), server)?.status, status);
    });
  }

  it('is the app’s own affair where it has a listener and Node.js did not use it', () => {
    const listening = http.createServer().on('upgrade', () => {});
    assert.equal(refusalOfWebSocket(request('GET', HANDSHAKE), listening), undefined);
  });
});
