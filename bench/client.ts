/** One request at a time, for what is not a matter of speed: is it up, who answered, what do the metrics say. */
import net from 'node:net';

export interface Answer {
  readonly socket: net.Socket;
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Connects, asks, and leaves the connection open. Rejects when there is no complete answer. */
export function ask(port: number, path = '/'): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  socket.setEncoding('latin1');
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('closed without an answer')));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  socket.on('data', (chunk: string) => {
    text += chunk;
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
    if (text.length < end + 4 + length) return;
    resolve({ socket, status: Number(text.slice(9, 12)), head: text.slice(0, end), body: text.slice(end + 4) });
  });
  return promise;
}

/** Asks once, closes the connection, and gives the status; 0 where nothing answered. */
export async function statusOf(port: number, path = '/'): Promise<number> {
  try {
    const { socket, status } = await ask(port, path);
    socket.destroy();
    return status;
  } catch {
    return 0;
  }
}

/** Asks once and gives the body. */
export async function textOf(port: number, path: string): Promise<string> {
  const { socket, body } = await ask(port, path);
  socket.destroy();
  return body;
}
