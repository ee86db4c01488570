/** The least of a WebSocket client, RFC 6455: a handshake, one text frame there and back. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';

export async function webSocketEcho(socket: Socket, text: string): Promise<string> {
  const chunks: Buffer[] = [];
  const lines = [
    'GET /socket HTTP/1.1',
    'Host: test',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let sent = false;
  try {
    for await (const chunk of socket) {
      chunks.push(chunk as Buffer);
      const all = Buffer.concat(chunks);
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) continue;
      if (!sent) {
        const head = all.subarray(0, end).toString();
        assert.match(head, /^HTTP\/1\.1 101 /);
        assert.match(head, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i); // the example of section 1.3
        const mask = Buffer.from([1, 2, 3, 4]);
        const payload = Buffer.from(text).map((byte, i) => byte ^ (mask[i % 4] ?? 0));
        socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload]));
        sent = true;
      }
      const frame = all.subarray(end + 4);
      const length = frame[1];
      if (length !== undefined && frame.length >= 2 + length) return frame.subarray(2, 2 + length).toString();
    }
  } finally {
    socket.destroy();
  }
  throw new Error('the connection ended without an echo');
}
