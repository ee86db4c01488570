/** HTTP over a raw socket, for what a client library would hide. */
import net from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names; several fields of one name one after another. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** Sends `parts` and reads until the server ends the connection. */
export function raw(port: number, ...parts: readonly string[]): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = net.connect({ port, host: '127.0.0.1' });
  let text = '';
  socket.setEncoding('latin1').on('data', (data: string) => {
    text += data;
  });
  socket.on('close', () => resolve(text));
  socket.on('error', () => undefined);
  for (const part of parts) socket.write(part);
  return promise;
}

/** One request, with `Connection: close` unless `headers` says otherwise. The body is as it came, chunked or not. */
export async function rawRequest(
  port: number,
  start: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Promise<RawAnswer> {
  const fields = { Host: 'test', Connection: 'close', ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return parse(await raw(port, `${start} HTTP/1.1\r\n${lines.join('')}\r\n${body}`));
}

export function parse(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = (end < 0 ? text : text.slice(0, end)).split('\r\n');
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return { status: Number(first.split(' ')[1] ?? 0), headers, body: end < 0 ? '' : text.slice(end + 4) };
}

export function field(answer: RawAnswer, name: string): string[] {
  return answer.headers.filter(([key]) => key === name).map(([, value]) => value);
}

/** The handshake of RFC 6455, section 1.3. */
export const HANDSHAKE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};
