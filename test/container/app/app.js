/** What the container tests ask for: who answers, what arrived, slow answers, uploads, WebSocket, sudden death. */
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';

const DEATHS = '/tmp/deaths';

const routes = {
  '/': () => ({ pid: process.pid, ppid: process.ppid, uid: process.getuid(), gid: process.getgid() }),
  '/headers': (request) => request.headers,
  '/heap': () => ({ limit: getHeapStatistics().heap_size_limit }),
  '/big': () => 'x'.repeat(2_000_000),
  '/static/from-app.js': () => 'from the app',
  '/slow': async (_request, url) => {
    await sleep(Number(url.searchParams.get('ms') ?? 1000));
    return 'slow';
  },
  '/upload': async (request) => {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of request) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest('hex'), pid: process.pid };
  },
  // Each call that reaches an app leaves a line behind before it takes its worker down.
  '/die': async (request, url) => {
    if (url.searchParams.has('once') && deaths() > 0) return 'survived';
    appendFileSync(DEATHS, `${request.method}\n`);
    process.kill(process.pid, 'SIGKILL');
    await sleep(60_000);
  },
  '/deaths': () => ({ deaths: deaths() }),
  '/eat': () => {
    const eaten = [];
    for (;;) eaten.push(Buffer.alloc(8 << 20, 1));
  },
};

function deaths() {
  try {
    return readFileSync(DEATHS, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

export const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://app');
  const route = routes[url.pathname];
  const answer = route ? await route(request, url) : 'not found';
  response.statusCode = route ? 200 : 404;
  response.setHeader('Content-Type', typeof answer === 'string' ? 'text/plain' : 'application/json');
  response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
});

// RFC 6455: the handshake, then short text frames come back unmasked.
server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.on('data', (frame) => {
    const length = frame[1] & 0x7f;
    const mask = frame.subarray(2, 6);
    const text = frame.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]);
    socket.write(Buffer.concat([Buffer.from([frame[0], length]), text]));
    if ((frame[0] & 0x0f) === 8) socket.end();
  });
  socket.on('error', () => {});
});
